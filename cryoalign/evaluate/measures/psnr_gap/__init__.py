"""Whether a denoiser that learned from fakes does as well on raw images as one that learned from raw."""
