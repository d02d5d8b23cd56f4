"""Whether training images are memorized."""
