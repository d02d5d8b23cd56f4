"""How far fake is from raw, in sums that add up exactly over batches and processes."""
