"""Batched tensors in, tensors out: no files, no configuration, arguments never changed in place."""
