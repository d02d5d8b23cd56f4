"""Whether a classifier distinguishes fake from raw."""
