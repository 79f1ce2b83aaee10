"""Files, tables and images: what everything above reads and writes."""
