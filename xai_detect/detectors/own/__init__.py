"""Detectors of one's own: a function that answers with boxes, or a network and its decoder."""
