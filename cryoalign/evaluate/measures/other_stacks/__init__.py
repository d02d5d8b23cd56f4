"""Whether any noise is that of another image, of these fakes or of another stack."""
