"""The embedded data set: a specimen, its simulated images, and those of a simulated microscope."""
