"""Whole regions instead of pixels, on top of any gradient method."""
