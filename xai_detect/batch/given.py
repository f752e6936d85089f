"""Images as callers hold them: files, arrays, loaders, videos; one named item after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage
from torch import Tensor
from torch.utils.data import DataLoader

from xai_detect.batch.sources import find_sources
from xai_detect.batch.video import VIDEOS, frame_name, frames
from xai_detect.errors import InputError
from xai_detect.values.images import load_image

EXPECTED = (
    "paths, folders, globs, arrays, tensors, PIL images, a DataLoader, a video file or the number "
    "of a camera"
)

InMemory = np.ndarray | Tensor | PillowImage.Image


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An image that is read when it is needed.

    Attributes:
        name: What the record calls it.
        source: What it is read from; an error where that is known to fail.
        path: The file, where it is one.
        order: Of the colours in an array or a tensor.
    """

    name: str
    source: InMemory | Path | InputError
    path: Path | None = None
    order: str = "rgb"

    @classmethod
    def of(cls, path: Path) -> "Item":
        """An image file."""
        return cls(str(path), path, path)

    def read(self) -> Float[Tensor, "3 h w"]:
        """Read it.

        Raises:
            InputError: If it cannot be read or is no image.
        """
        if isinstance(self.source, InputError):
            raise self.source
        return load_image(self.source, order=self.order)


class Items:
    """Images as a caller gave them, to be gone through once.

    Attributes:
        paths: The image files, where nothing else was given; None otherwise.
    """

    def __init__(self, images: object, every: float | None = None, order: str = "rgb") -> None:
        """Take what was given; only paths are looked at now.

        Args:
            images: See ``EXPECTED``; or an iterable of these, of batches, and of pairs
                ``(images, target)``.
            every: Seconds between the frames that are taken of a video.
            order: Of the colours in arrays and tensors.

        Raises:
            InputError: If it is something else, or a path names nothing.
        """
        if isinstance(images, Mapping | bytes) or not (
            _single(images) or isinstance(images, Iterable)
        ):
            raise InputError(f"the images are given as {_kind(images)}; expected {EXPECTED}")
        self._images = images
        self._every = every
        self._order = order
        self._count = 0
        self.paths: list[Path] | None = None
        given = [images] if isinstance(images, str | Path) else images
        if isinstance(given, Sequence) and all(_names_images(entry) for entry in given):
            self.paths = find_sources([str(entry) for entry in given])

    @property
    def total(self) -> int | None:
        """How many there are; None where that shows only at the end."""
        if self.paths is not None:
            return len(self.paths)
        images = self._images
        if isinstance(images, np.ndarray | Tensor):
            return len(images) if images.ndim == 4 else 1
        if isinstance(images, Sequence) and all(
            isinstance(entry, PillowImage.Image)
            or (isinstance(entry, np.ndarray | Tensor) and entry.ndim < 4)
            for entry in images
        ):
            return len(images)
        return None

    def __iter__(self) -> Iterator[Item]:
        if self.paths is not None:
            return map(Item.of, self.paths)
        images = self._images
        if _single(images):
            return self._of(images)
        loader = isinstance(images, DataLoader)
        return (item for entry in images for item in self._of_entry(entry, loader))  # type: ignore[attr-defined]

    def _of_entry(self, entry: object, loader: bool) -> Iterator[Item]:
        """The images of one entry of an iterable."""
        if _with_target(entry, loader):
            entry = entry[0]
        for image in entry if isinstance(entry, list | tuple) else (entry,):
            if not _single(image):
                raise InputError(
                    f"among the images is {_kind(image)}; expected {EXPECTED}, or pairs of images "
                    "and their targets"
                )
            yield from self._of(image)

    def _of(self, image: object) -> Iterator[Item]:
        if isinstance(image, int):
            for at, picture in frames(image, self._every):
                yield Item(frame_name(image, at), picture)
        elif isinstance(image, str | Path):
            yield from self._of_path(image)
        elif isinstance(image, np.ndarray | Tensor) and image.ndim == 4:
            for one_of_batch in image:
                yield self._in_memory(one_of_batch)
        elif isinstance(image, np.ndarray | Tensor | PillowImage.Image):
            yield self._in_memory(image)

    def _of_path(self, given: str | Path) -> Iterator[Item]:
        """The files behind a path, or the frames of a video; what is wrong is told by an item."""
        try:
            if not _is_video(given):
                yield from map(Item.of, find_sources([str(given)]))
                return
            path = Path(given)
            path = path.parent.resolve() / path.name
            for at, picture in frames(path, self._every):
                yield Item(frame_name(path, at), picture)
        except InputError as error:
            yield Item(str(given), error)

    def _in_memory(self, image: InMemory) -> Item:
        name = f"image-{self._count:06d}"
        self._count += 1
        return Item(name, image, order=self._order)


def _single(image: object) -> bool:
    """Whether it is no iterable of images, though it may hold several."""
    known = isinstance(image, str | Path | int | InMemory)
    return known and not isinstance(image, bool)


def _is_video(given: str | Path) -> bool:
    return Path(given).suffix.lower() in VIDEOS


def _names_images(entry: object) -> TypeGuard[str | Path]:
    return isinstance(entry, str | Path) and not _is_video(entry)


def _with_target(entry: object, loader: bool) -> TypeGuard[Sequence[object]]:
    """Whether it is images and what belongs to them: a pair, or what a loader gave."""
    if isinstance(entry, tuple) and len(entry) == 2:
        return True
    if not loader or not isinstance(entry, list | tuple) or not entry:
        return False
    first = entry[0]
    return isinstance(first, list | tuple) or (isinstance(first, Tensor) and first.ndim == 4)


def _kind(given: object) -> str:
    kind = type(given).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
