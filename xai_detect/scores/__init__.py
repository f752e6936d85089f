"""The number that is explained, read off a detector's raw predictions."""
