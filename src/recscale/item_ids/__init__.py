"""Appendix B: from an item's text to its semantic id."""
