"""Detectors: the protocol, one adapter per library, and restricted loading of weights."""
