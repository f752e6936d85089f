"""Scans: composed, planted, projected, written."""
