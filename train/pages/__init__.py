"""What HTML pages are built of: highlighted spans, tables, charts."""
