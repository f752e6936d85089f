"""Detectors of one's own: a function, a network and its decoder, a classifier."""
