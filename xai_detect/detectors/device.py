"""Where a network runs."""

import torch

from xai_detect.errors import InputError

AUTO = "auto"
"""Stands for a GPU where this machine has one, else the CPU."""

KINDS = ("cuda", "mps", "xpu")
"""The kinds of GPU, in the order in which ``auto`` takes them."""

Device = str | int | torch.device


def chosen_device(name: Device = AUTO) -> torch.device:
    """A device by torch's name, by the number of a GPU, or the best of this machine.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``, a number, or a device.

    Raises:
        InputError: If there is none, or this machine cannot use it.
    """
    if name == AUTO:
        return torch.device(next((kind for kind in KINDS if _count(kind)), "cpu"))
    text = str(name)
    try:
        device = torch.device(f"cuda:{text}" if text.isdecimal() else text)
    except RuntimeError as error:
        raise InputError(
            f"there is no device {text!r}; choose auto, cpu, cuda, mps, xpu or a number"
        ) from error
    if device.type != "cpu" and not (device.index or 0) < _count(device.type):
        raise InputError(
            f"this machine has no usable {device.type} device"
            f"{'' if device.index is None else f' {device.index}'}; use --device cpu or auto"
        )
    return device


def _count(kind: str) -> int:
    """How many devices of a kind can be used."""
    match kind:
        case "cuda":
            return torch.cuda.device_count() if torch.cuda.is_available() else 0
        case "mps":
            return int(torch.backends.mps.is_available())
        case "xpu":
            return torch.xpu.device_count() if torch.xpu.is_available() else 0
    return 0
