"""A detector and its verdicts held against ground truth."""
