"""Relevance handed back layer by layer, and attention."""
