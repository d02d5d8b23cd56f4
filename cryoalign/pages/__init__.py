"""Pages for a reader: self-contained HTML that can be mailed and printed, made of plain values."""
