"""Detectors that show no gradients: exported ONNX files."""
