"""Whether anything is invented."""
