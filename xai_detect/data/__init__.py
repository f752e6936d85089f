"""Data sets with ground truth: one internal form, one reader and one writer per format."""
