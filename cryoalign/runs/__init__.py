"""The folder of a run: described on disk, located, read again."""
