"""Whether the noise is that of the measurement."""
