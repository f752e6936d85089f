"""Torchvision's networks."""
