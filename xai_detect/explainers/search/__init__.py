"""Regions ranked by what showing and hiding them does."""
