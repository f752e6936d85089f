"""Image classifiers as detectors of one box, the whole image."""
