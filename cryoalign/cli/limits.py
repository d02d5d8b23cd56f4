"""How many threads and processes a command may be asked for: more than any machine has cores."""

MOST_THREADS = 1024
"""Threads of the CPU; torch crashes where it cannot start all that it was told to use."""
MOST_WORKERS = 256
"""Processes that load images; each needs hundreds of MB."""
