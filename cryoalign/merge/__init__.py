"""One output of what jobs of a cluster made, each some of its files."""
