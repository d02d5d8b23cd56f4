"""Files to vocabulary and back: MRC stacks and volumes, RELION STAR files, outputs never half-written."""
