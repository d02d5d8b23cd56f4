"""Runs of a sweep or an ablation beside each other: what differs in them, and what came of it."""
