"""Many images looked at a few at a time, in order, before each is judged.

Several images share a forward pass, and what was predicted for each goes on to its verdict, so that
no pass is made twice. A bad image costs itself alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import DiskError, InputError, XaiDetectError
from xai_detect.trust.scene import look_all
from xai_detect.values.detections import Detections
from xai_detect.values.frame import Placed

BATCH = 8
"""So many images are read before they are looked at together."""

LOADED = 50_000_000
"""With more image pixels than these in memory, no further image is read first."""

Given = TypeVar("Given")


class Seen(NamedTuple):
    """An image that was looked at.

    Attributes:
        placed: The image.
        detections: What the detector reports there.
        whole: The predictions behind them; None where they are not known.
    """

    placed: Placed
    detections: Detections
    whole: Named | None


def check_together(batch: int) -> None:
    """Check the number of images that are looked at together.

    Raises:
        InputError: If it is below 1.
    """
    if batch < 1:
        raise InputError(f"batch is {batch}; expected at least 1 image at a time")


def look_ahead(
    detector: Detector,
    given: Iterable[Given],
    read: Callable[[Given], Image | None],
    confidence: float,
    *,
    batch: int = BATCH,
    predicted: bool = True,
) -> Iterator[tuple[Given, Seen | XaiDetectError | None]]:
    """Look at many images; each of what was given comes back in order, with what was seen.

    Args:
        detector: The detector.
        given: What images are read from; taken as it is needed.
        read: Reads an image; None says that there is no need to look at this.
        confidence: Detections at or below it are dropped.
        batch: Images that are read before they are looked at together.
        predicted: Whether the predictions behind detections are wanted at the price of a pass.

    Yields:
        What was given, and what was seen there: the error if the image cannot be read, placed or
        looked at, None if ``read`` gave none.
    """
    waiting: list[tuple[Given, Placed | XaiDetectError | None]] = []
    images: list[Placed] = []
    for item in given:
        waiting.append((item, _placed(detector, item, read)))
        images = [image for _, image in waiting if isinstance(image, Placed)]
        area = sum(image.frame.image_size[0] * image.frame.image_size[1] for image in images)
        if not images or len(images) >= batch or area >= LOADED:
            yield from _seen(detector, waiting, images, confidence, predicted)
            waiting, images = [], []
    yield from _seen(detector, waiting, images, confidence, predicted)


def _placed(
    detector: Detector, item: Given, read: Callable[[Given], Image | None]
) -> Placed | XaiDetectError | None:
    try:
        image = read(item)
        return None if image is None else place(detector, image)
    except DiskError:
        raise
    except XaiDetectError as error:
        return error


def _seen(
    detector: Detector,
    waiting: Sequence[tuple[Given, Placed | XaiDetectError | None]],
    images: Sequence[Placed],
    confidence: float,
    predicted: bool,
) -> Iterator[tuple[Given, Seen | XaiDetectError | None]]:
    answers = iter(_looked(detector, images, confidence, predicted))
    for item, image in waiting:
        yield item, next(answers) if isinstance(image, Placed) else image


def _looked(
    detector: Detector, images: Sequence[Placed], confidence: float, predicted: bool
) -> list[Seen | XaiDetectError]:
    try:
        found = look_all(detector, images, confidence, predicted=predicted)
    except XaiDetectError as error:
        if len(images) == 1:
            return [error]
        # Which of them it was, or that they are too many for the memory, shows one by one.
        return [
            answer
            for image in images
            for answer in _looked(detector, [image], confidence, predicted)
        ]
    return [Seen(image, *answer) for image, answer in zip(images, found, strict=True)]
