"""What a classifier is built of, and how an image becomes its input."""

from dataclasses import dataclass
from typing import NamedTuple

from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.fills import DOMAINS
from xai_detect.values.frame import Frame, before

PREPROCESSING = ("stretch", "crop", "letterbox")
RESAMPLING = ("bilinear", "bicubic")

MOST_LENGTH = 64
"""How many times an image may be as long as it is wide before the middle of it is cut out."""

Colour = tuple[float, float, float]


class Head(NamedTuple):
    """Classes that are answered together: one question that the network is asked.

    Attributes:
        name: What the network calls the output; empty where there is one.
        start: The first of its classes.
        stop: The class after its last.
        multi_label: See ``ClassifierLayout``.
    """

    name: str
    start: int
    stop: int
    multi_label: bool


@dataclass(frozen=True, slots=True)
class ClassifierLayout:
    """All that is needed to build a torchvision classifier again, but for its numbers.

    Attributes:
        architecture: Torchvision's name, such as ``resnet50``.
        classes: Names in label order.
        input_size: ``(height, width)`` of the network's input in pixels.
        mean: What is taken off each colour in [0, 1].
        std: What the rest is divided by.
        multi_label: Whether each class is answered on its own (sigmoid) or exactly one is chosen
            (softmax).
        domain: ``photo`` or ``xray``.
        preprocessing: One of ``PREPROCESSING``.
        shorter: For ``crop``: the image's shorter side before it, in pixels; 0 takes the longest
            side of the input.
        resampling: For ``crop``: ``bilinear`` or ``bicubic``.
        fill: For ``letterbox``: value of the padding, in [0, 1].
        heads: Of a network that answers several questions at once, each with its classes, in their
            order; empty where all classes are one.
    """

    architecture: str
    classes: tuple[str, ...]
    input_size: Size
    mean: Colour
    std: Colour
    multi_label: bool
    domain: str
    preprocessing: str = "stretch"
    shorter: int = 0
    resampling: str = "bilinear"
    fill: float = GREY
    heads: tuple[Head, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or not all(self.classes):
            raise InputError(f"classes are {self.classes}; expected different names, none empty")
        for head in self.answers:
            count = head.stop - head.start
            if count < (1 if head.multi_label else 2):
                of = f" of {head.name!r}" if head.name else ""
                raise InputError(
                    f"there are {count} classes{of}; a classifier that chooses one needs two or "
                    "more: name both, or set multi_label"
                )
        if not all(1 <= side <= 4096 for side in self.input_size):
            raise InputError(
                f"input_size is {self.input_size}; expected sides from 1 to 4096 pixels"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or not all(spread > 0 for spread in self.std):
            raise InputError(
                f"mean is {self.mean} and std {self.std}; expected three numbers each, std above 0"
            )
        if self.preprocessing not in PREPROCESSING or self.resampling not in RESAMPLING:
            raise InputError(
                f"there is no preprocessing {self.preprocessing!r} with {self.resampling!r} "
                f"resampling; choose from {', '.join(PREPROCESSING)} and {', '.join(RESAMPLING)}"
            )
        if self.shorter and not max(self.input_size) <= self.shorter <= 4096:
            raise InputError(
                f"shorter is {self.shorter}; expected from {max(self.input_size)} pixels, the "
                "input's longest side, to 4096"
            )
        if not 0 <= self.fill <= 1:
            raise InputError(f"fill is {self.fill}; expected a value of the padding from 0 to 1")
        if self.domain not in DOMAINS:
            raise InputError(
                f"there is no domain {self.domain!r}; choose from {', '.join(DOMAINS)}"
            )

    @property
    def answers(self) -> tuple[Head, ...]:
        """The questions that the network answers; one where nobody named several."""
        return self.heads or (Head("", 0, len(self.classes), self.multi_label),)

    def frame(self, image_size: Size) -> Frame:
        """Where an image lies in the plane that the network is given; it fills the plane.

        What is cut off it, or padded around it, is the network's own affair: see ``seen``.

        Raises:
            InputError: If the image is so thin that the plane it is cut from would fill the memory.
        """
        if self.preprocessing == "stretch":
            return Frame.stretch(image_size, self.input_size)
        if self.preprocessing == "letterbox":
            padded = Frame.letterbox(
                image_size, self.input_size, stride=1, fill=self.fill, rectangle=False
            )
            return Frame.stretch(image_size, padded.content_size)
        shorter = self.shorter or max(self.input_size)
        frame = Frame.scaled(image_size, shorter, self.resampling)
        if max(frame.input_size) > MOST_LENGTH * shorter:
            (height, width), (down, across) = image_size, frame.input_size
            raise InputError(
                f"an image of {width} x {height} pixels would become {across} x {down} before its "
                f"middle is kept, expected sides that differ by {MOST_LENGTH} times at most; crop "
                'it first, or load the classifier with preprocessing="stretch"'
            )
        return frame

    def seen(self, plane: Size) -> tuple[int, int, int, int]:
        """What the network's input covers of such a plane, ``(x1, y1, x2, y2)`` in its pixels.

        Less than the plane where the middle is cut out, more where padding goes around it.

        Raises:
            InputError: If the plane is smaller than what is cut from it, or larger than what it is
                padded to.
        """
        if self.preprocessing == "stretch":
            return (0, 0, plane[1], plane[0])
        height, width = self.input_size
        down, across = plane
        if self.preprocessing == "letterbox":
            if down > height or across > width:
                raise InputError(
                    f"the pixels are {across} x {down}, expected {width} x {height} at most, to "
                    "be padded to that; place the image by the classifier's frame"
                )
            left, top = -before(width - across), -before(height - down)
        else:
            if down < height or across < width:
                raise InputError(
                    f"the pixels are {across} x {down}, expected {width} x {height} or more, of "
                    "which the middle is kept; place the image by the classifier's frame"
                )
            left, top = round((across - width) / 2), round((down - height) / 2)
        return (left, top, left + width, top + height)

    def words(self) -> str:
        """Input and preprocessing in words."""
        height, width = self.input_size
        words = f"{width} x {height}"
        if self.preprocessing == "letterbox":
            return f"{words}, letterboxed"
        if self.preprocessing == "crop":
            return f"{words}, cut from a shorter side of {self.shorter or max(height, width)}"
        return words
