"""One module per table of the paper; each reads tidy files and imports no torch."""
