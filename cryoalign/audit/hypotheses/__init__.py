"""What may be wrong with pairs: one file a family, with its images, its line and its remedy."""
