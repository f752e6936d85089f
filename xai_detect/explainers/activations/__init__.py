"""Activation maps: what the layers before the head answered."""
