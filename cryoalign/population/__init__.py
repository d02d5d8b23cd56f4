"""New particles, never measured, drawn to be like measured ones: poses, conditions, shifts, identity."""
