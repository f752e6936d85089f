"""What ultralytics' library does to images and boxes, in its own networks and its exports."""

GREY = 114 / 255
"""Letterbox padding that it trains and predicts with."""

MOST_DETECTIONS = 300
"""Its own limit per image."""
