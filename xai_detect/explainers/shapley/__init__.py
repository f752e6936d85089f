"""Shapley values of regions."""
