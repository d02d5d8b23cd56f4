"""Whether the content of sim is kept."""
