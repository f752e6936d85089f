"""A network made to take colour images, and tried once before anyone relies on it."""

import logging
import math
from typing import Any

import torch
from torch import Tensor, nn

from xai_detect.detectors.weights.quiet import quiet
from xai_detect.errors import WeightsError
from xai_detect.values.names import distinct, name_text

GREY = (0.299, 0.587, 0.114)
"""What red, green and blue give to grey, as the library's own reading of grey images has it."""

BOXES = {"Segment": "masks", "Segment26": "masks", "Pose": "key points", "Pose26": "key points"}
"""Heads whose boxes and classes come from the same branches as a detector's, and what they add."""

_notes = logging.getLogger(__name__)


def as_detector(network: Any, name: str) -> None:
    """Leave a head that gives masks or key points as well with its boxes alone; says so."""
    with quiet():
        from ultralytics.nn.modules.head import Detect
    head = network.model[-1]
    further = BOXES.get(type(head).__name__)
    if further is not None:
        head.__class__ = Detect
        _notes.warning("%s gives %s as well; its boxes are explained, not those", name, further)


def take_colour(network: nn.Module, name: str) -> None:
    """Let a network for grey images take RGB: its first layer weighs the colours to grey.

    Raises:
        WeightsError: If it takes images of another number of channels.
    """
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.in_channels in (3, 12):  # 12: three, at each corner of a square
        return
    if first.in_channels != 1:
        raise WeightsError(
            f"{name} takes images of {first.in_channels} channels; expected a network for colour "
            "images (3) or grey ones (1): train it for one of these"
        )
    weights = first.weight.new_tensor(GREY)[None, :, None, None]
    first.weight = nn.Parameter(first.weight.detach() * weights)
    first.in_channels = 3


def name_classes(network: Any, name: str) -> None:
    """Give every output of a network one name of its own.

    Names that are missing are made of the class's number; names without an output are dropped.
    """
    head = network.model[-1]
    given = getattr(network, "names", None)
    if isinstance(given, list | tuple):
        given = dict(enumerate(given))
    table = {str(key): text for key, text in given.items()} if isinstance(given, dict) else {}
    count = int(head.nc)
    raw = [table.get(str(label)) for label in range(count)]
    nameless = sum(not name_text(text) for text in raw)
    if nameless:
        _notes.warning(
            "%s names %d of its %d classes; the others are called by their number",
            name, count - nameless, count,
        )  # fmt: skip
    elif len(table) > count:
        _notes.warning("%s names %d classes but has outputs for %d", name, len(table), count)
    network.__dict__["names"] = dict(enumerate(distinct(raw)))


def probe(network: Any, name: str) -> None:
    """Run a network once on an empty image.

    Raises:
        WeightsError: If it cannot run, or does not answer as a detector of this library.
    """
    stride = max(int(network.stride.max()), 32)
    queries = getattr(network.model[-1], "num_queries", 1)
    side = 2 * stride * math.ceil(math.sqrt(queries) / 8)
    try:
        with quiet(), torch.no_grad():
            found = network(torch.zeros(1, 3, side, side))
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{name} cannot run on a colour image ({reason}); export it again, or to ONNX with "
            f"'yolo export model={name} format=onnx'"
        ) from error
    head = network.model[-1]
    decoded = found[0] if isinstance(found, tuple) else found
    if not isinstance(decoded, Tensor) or decoded.ndim != 3:
        raise WeightsError(
            f"{name} does not answer with boxes and classes; expected a detector of ultralytics"
        )
    if hasattr(head, "reg_max") and decoded.shape[1] != 4 + head.nc and not head.end2end:
        raise WeightsError(
            f"{name} answers with {decoded.shape[1]} values for each box; expected 4 and one for "
            f"each of its {head.nc} classes"
        )
