"""Ultralytics' networks: YOLO and RT-DETR."""
