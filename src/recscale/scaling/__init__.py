"""Sections 6.2 and 7: scaling-law fits to held-out losses."""
