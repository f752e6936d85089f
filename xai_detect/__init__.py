"""Explain object detectors and say which detections the evidence supports."""

__version__ = "0.1.0"
