"""Section 6.1: base models and continual pre-training (CPT) on the curriculum."""
