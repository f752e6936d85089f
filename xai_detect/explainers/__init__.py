"""Explainers: one frozen dataclass per method, one call that runs any of them."""
