"""Make it readable: one report, many formats."""
