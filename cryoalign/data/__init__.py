"""From matched metadata and image stacks to batches."""
