"""Compare the runs of a sweep or an ablation: what differs in them, and what came of it."""
