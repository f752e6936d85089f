"""What ultralytics' library does to images and boxes, in its own networks and its exports."""

from xai_detect.errors import InputError
from xai_detect.values.boxes import Sides, Size

GREY = 114 / 255
"""Letterbox padding that it trains and predicts with."""

MOST_DETECTIONS = 300
"""Its own limit per image."""


def both_sides(imgsz: Sides) -> Size:
    """Height and width of an input.

    Raises:
        InputError: If a side is not between 1 and 8192 pixels.
    """
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= 8192 for side in sides):
        raise InputError(f"imgsz is {imgsz}; expected one or two sides of 1 to 8192 pixels")
    return sides[0], sides[1]
