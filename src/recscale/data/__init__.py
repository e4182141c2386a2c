"""Section 3 and 6.1: the interaction log, its items, its real histories and their splits."""
