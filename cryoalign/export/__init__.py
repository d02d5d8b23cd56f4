"""A stack of any size refined with the generator of a run."""
