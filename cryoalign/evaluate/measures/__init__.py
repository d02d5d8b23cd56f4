"""What the referee asks: eight measures, each with its questions, limits and charts."""
