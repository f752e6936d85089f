"""Weights as data: the manifest, pickles read restricted, files fetched once."""
