"""Whether the power spectrum is that of the measurement."""
