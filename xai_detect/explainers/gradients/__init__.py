"""Gradients at the input, and their averages over paths and noise."""
