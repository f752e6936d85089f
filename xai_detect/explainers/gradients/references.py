"""Images that stand for "nothing there", several at once: what expected gradients start from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from xai_detect.errors import InputError
from xai_detect.values import fills
from xai_detect.values.images import SUFFIXES, load_image

AUTO = {"photo": "blur, mean, grey, black, air", "xray": "air, blur, mean"}
"""What ``auto`` stands for; in X-ray images grey and black are no absence but a dense object."""


class Draw(NamedTuple):
    """One point on a path: which reference it starts from, and how far along it lies."""

    reference: str
    alpha: float


def reference_names(references: str, domain: str) -> tuple[str, ...]:
    """The fills and files that a setting names, folders unfolded in alphabetical order.

    Args:
        references: ``auto``; or names in ``FILLS``, image files and folders of images, in any
            mixture, with commas between them.
        domain: ``photo`` or ``xray``.

    Raises:
        InputError: If one is none of these, or a folder holds no image.
    """
    if references == "auto":
        references = AUTO[domain]
    items = [item.strip() for item in references.split(",") if item.strip()]
    names = [name for item in items for name in _unfolded(item)]
    if not names:
        raise InputError(
            "references is empty; name fills, image files or folders, with commas between them"
        )
    return tuple(names)


def _unfolded(item: str) -> list[str]:
    path = Path(item)
    if item in fills.FILLS or path.is_file():
        return [item]
    if not path.is_dir():
        raise InputError(
            f"reference {item!r} is neither one of {', '.join(fills.FILLS)} nor an image file or "
            "folder; with commas between them several may be given"
        )
    files = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{item} holds no image; expected a folder of reference images")
    return files


def reference_image(name: str, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """A fill of the image, or a file stretched to its size.

    Raises:
        InputError: If the file is no readable image.
    """
    if name in fills.FILLS:
        return fills.hide_all(image, name)
    given = load_image(name)
    size = (image.shape[1], image.shape[2])
    if given.shape[1:] == size:
        return given
    stretched = functional.interpolate(given[None], size=size, mode="bilinear", antialias=True)
    return stretched[0].clamp(0, 1)


def draws(names: Sequence[str], samples: int, seed: int) -> list[Draw]:
    """Points on the paths from the references, one in each of ``samples`` equal strata of alpha.

    References take turns in an order that is shuffled anew each turn, so that each is used equally
    often, give or take one, and along the whole path. Points of one reference stand together.
    """
    generator = torch.Generator().manual_seed(seed)
    turns = -(-samples // len(names))
    order = torch.cat([torch.randperm(len(names), generator=generator) for _ in range(turns)])
    alphas = (torch.arange(samples) + torch.rand(samples, generator=generator)) / samples
    drawn = sorted(zip(order[:samples].tolist(), alphas.tolist(), strict=True))
    return [Draw(names[number], alpha) for number, alpha in drawn]


def digest(names: Sequence[str]) -> float:
    """A number that names the references: it changes with any of their files (48 bits of SHA-256).

    Numbers are what an explanation can record; a float holds this one exactly.
    """
    total = hashlib.sha256()
    for name in names:
        content = name.encode() if name in fills.FILLS else Path(name).read_bytes()
        total.update(hashlib.sha256(content).digest())
    return float(int.from_bytes(total.digest()[:6], "big"))
