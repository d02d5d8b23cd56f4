"""Whether fakes fall into 2D classes as raw images do."""
