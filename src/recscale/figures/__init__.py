"""One module per figure of the paper; each reads tidy files and imports no torch."""
