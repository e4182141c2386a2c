"""Section 5.2: train on synthetic, test on real (TSTR) against train on real (TRTR)."""
