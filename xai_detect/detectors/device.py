"""Where a network runs."""

import torch

from xai_detect.errors import InputError


def chosen_device(name: str) -> torch.device:
    """A device by torch's name, or the number of a GPU.

    Raises:
        InputError: If there is none, or this machine cannot use it.
    """
    try:
        device = torch.device(f"cuda:{name}" if name.isdecimal() else name)
    except RuntimeError as error:
        raise InputError(
            f"there is no device {name!r}; choose cpu, cuda, mps or a number"
        ) from error
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(device.type, True):
        raise InputError(f"this machine has no usable {device.type} device; use --device cpu")
    return device
