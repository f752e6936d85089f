"""Where an image sits inside a network's input, and the way back.

Everything a caller sees is in *image* pixels; everything inside a network is in *input* pixels, and
this converts between them. The part of the input that holds the image, without its
padding, is the *content*; where a size or a place is in content pixels, its corner is that of the
image.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from xai_detect.values.boxes import Box, Size


def nearest(values: Shaped[Tensor, "h w"], size: Size) -> Shaped[Tensor, "a b"]:
    """The same picture at another size, every pixel as the nearest one: for masks and labels."""
    rows, columns = (
        ((torch.arange(new) + 0.5) * old / new).long()
        for new, old in zip(size, values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def before(spare: int) -> int:
    """How much of a side's padding lies before the image, in pixels, as ultralytics divides it."""
    return round(spare / 2 - 0.1)


@dataclass(frozen=True, slots=True)
class Frame:
    """An image scaled, then padded.

    Attributes:
        image_size: ``(height, width)`` of the original image.
        input_size: ``(height, width)`` the network receives.
        content_size: ``(height, width)`` of the image inside the input, padding left out.
        scale: Input pixels per image pixel, ``(down, across)``.
        top: Rows of padding above the image.
        left: Columns of padding before the image.
        fill: Value of the padding, in [0, 1].
        quantised: Whether the network was always shown 8-bit pixels; then the forward value is
            rounded as the resize rounds it, and the gradient passes straight through.
        resampling: How the image is resized: ``linear`` as OpenCV does it; ``bilinear`` or
            ``bicubic`` as Pillow does, averaging where the image shrinks.
    """

    image_size: Size
    input_size: Size
    content_size: Size
    scale: tuple[float, float]
    top: int
    left: int
    fill: float
    quantised: bool
    resampling: str = "linear"

    @classmethod
    def letterbox(
        cls,
        image_size: Size,
        sides: int | Size,
        *,
        stride: int,
        fill: float,
        rectangle: bool = True,
    ) -> "Frame":
        """Fit the image into the input's sides and pad the rest, as ultralytics' predictor does.

        Args:
            image_size: ``(height, width)`` of the image.
            sides: ``(height, width)`` of the input at most, or one side of a square.
            stride: The input's sides become multiples of it.
            fill: Value of the padding, in [0, 1].
            rectangle: Pad each side only up to the next multiple of ``stride``; else to ``sides``.
        """
        height, width = image_size
        most = (sides, sides) if isinstance(sides, int) else sides
        scale = min(most[0] / height, most[1] / width)
        content = (max(round(height * scale), 1), max(round(width * scale), 1))
        spare = (most[0] - content[0], most[1] - content[1])
        if rectangle:
            spare = (spare[0] % stride, spare[1] % stride)
        top, left = before(spare[0]), before(spare[1])
        input_size = (content[0] + spare[0], content[1] + spare[1])
        # Each side was rounded to whole pixels, so each has its own scale.
        scales = (content[0] / height, content[1] / width)
        return cls(image_size, input_size, content, scales, top, left, fill, True)

    @classmethod
    def stretch(cls, image_size: Size, input_size: Size) -> "Frame":
        """Stretch the image over the whole input, without padding."""
        scale = (input_size[0] / image_size[0], input_size[1] / image_size[1])
        return cls(image_size, input_size, input_size, scale, 0, 0, 0.0, True)

    @classmethod
    def scaled(cls, image_size: Size, shorter: int, resampling: str) -> "Frame":
        """Bring the shorter side to a length in proportion, as torchvision's Resize does."""
        longer = int(shorter * max(image_size) / min(image_size))
        upright = image_size[0] > image_size[1]
        size = (longer, shorter) if upright else (shorter, longer)
        scale = (size[0] / image_size[0], size[1] / image_size[1])
        return cls(image_size, size, size, scale, 0, 0, 0.0, True, resampling)

    @classmethod
    def unchanged(cls, image_size: Size) -> "Frame":
        """Hand the image over as it is."""
        return cls(image_size, image_size, image_size, (1.0, 1.0), 0, 0, 0.0, False)

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the input that hold the image."""
        height, width = self.content_size
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def to_input(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 i j"]:
        """Place images in the input, differentiably."""
        if self.quantised and not images.requires_grad:
            return self.pad(torch.stack([self._eight_bit(image) for image in images]))
        content = images
        if images.shape[-2:] != self.content_size:
            content = self._resized(images)
        if self.quantised:
            exact = torch.stack([self._eight_bit(image) for image in images.detach()])
            content = content + (exact - content).detach()
        return self.pad(content)

    def pad(self, contents: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 i j"]:
        """Put the padding around contents."""
        below = self.input_size[0] - self.content_size[0] - self.top
        right = self.input_size[1] - self.content_size[1] - self.left
        return functional.pad(contents, (self.left, right, self.top, below), value=self.fill)

    def _resized(self, images: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c i j"]:
        as_pillow = self.resampling != "linear"
        return functional.interpolate(
            images,
            size=self.content_size,
            mode=self.resampling if as_pillow else "bilinear",
            align_corners=False,
            antialias=as_pillow,
        )

    def _eight_bit(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 i j"]:
        rounded = (image * 255).round().clamp(0, 255).to(torch.uint8)
        if self.resampling != "linear":
            return self._resized(rounded[None])[0].float() / 255
        if rounded.shape[1:] == self.content_size:
            return rounded.float() / 255
        height, width = self.content_size
        pixels = cv2.resize(
            np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy()),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        placed = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return placed.to(image.device).float() / 255

    def pull_back(self, gradient: Float[Tensor, "k c i j"]) -> Float[Tensor, "k c h w"]:
        """Turn gradients at the input into gradients at the image (the chain rule).

        Sums are kept: ``sum(pull_back(g) * image) == sum(g * to_input(image))`` up to rounding and
        padding. Pixels the resize skips get exactly 0, because they cannot matter.
        """
        content = gradient[..., *self.content]
        if self.content_size == self.image_size:
            return content.clone()
        image = gradient.new_zeros(*gradient.shape[:2], *self.image_size, requires_grad=True)
        with torch.enable_grad():
            placed = self._resized(image)
        return torch.autograd.grad(placed, image, content)[0]

    def attributions(
        self, gradients: Float[Tensor, "k 3 i j"], change: Float[Tensor, "3 h w"] | None = None
    ) -> list[Float[Tensor, "h w"]]:
        """Gradients at the input as maps over the image, one after the other, to save memory.

        Args:
            gradients: At the input.
            change: What a gradient at the image is multiplied by before colours are summed; None
                sums the gradients themselves.
        """
        if change is None:
            return [self.pull_back(gradient.sum(dim=0)[None, None])[0, 0] for gradient in gradients]
        return [(self.pull_back(gradient[None])[0] * change).sum(dim=0) for gradient in gradients]

    def map_to_content(self, heatmap: Float[Tensor, "h w"]) -> Float[Tensor, "a b"]:
        """A map over the image at the resolution that the network saw; its sum is kept."""
        if self.content_size == self.image_size:
            return heatmap
        resized = heatmap.contiguous().numpy()
        for axis in (0, 1):  # each shrinks or grows by itself, where an input is stretched
            old, new = self.image_size[axis], self.content_size[axis]
            size = (resized.shape[1], new) if axis == 0 else (new, resized.shape[0])
            way = cv2.INTER_AREA if new < old else cv2.INTER_LINEAR
            resized = cv2.resize(resized, size, interpolation=way) * (old / new)
        return torch.from_numpy(resized)

    def box_to_content(self, box: Box) -> Box:
        """A box in image pixels, in content pixels."""
        down, across = self.scale
        return (box[0] * across, box[1] * down, box[2] * across, box[3] * down)

    def box_to_image(self, box: Box) -> Box:
        """A box in content pixels, in image pixels."""
        down, across = self.scale
        return (box[0] / across, box[1] / down, box[2] / across, box[3] / down)

    def map_to_image(self, heatmaps: Float[Tensor, "k i j"]) -> Float[Tensor, "k h w"]:
        """Cut the padding off heatmaps over the input and stretch the rest over the image."""
        return functional.interpolate(
            heatmaps[:, None, *self.content],
            size=self.image_size,
            mode="bilinear",
            align_corners=False,
        )[:, 0]

    def boxes_to_image(self, boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Input pixels to image pixels, clipped to the image."""
        height, width = self.image_size
        limit = boxes.new_tensor([width, height, width, height])
        return ((boxes - self._offset(boxes)) / self._scales(boxes)).clamp(min=0).minimum(limit)

    def boxes_to_input(self, boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Image pixels to input pixels."""
        return boxes * self._scales(boxes) + self._offset(boxes)

    def _offset(self, boxes: Tensor) -> Tensor:
        return boxes.new_tensor([self.left, self.top, self.left, self.top])

    def _scales(self, boxes: Tensor) -> Tensor:
        down, across = self.scale
        return boxes.new_tensor([across, down, across, down])


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """An image where a network sees it; made once for each image, and handed on.

    Attributes:
        image: RGB in [0, 1].
        frame: Where it lies in the input.
        pixels: The input.
    """

    image: Float[Tensor, "3 h w"]
    frame: Frame
    pixels: Float[Tensor, "1 3 i j"]

    def __repr__(self) -> str:
        (height, width), (tall, wide) = self.frame.image_size, self.frame.input_size
        return f"Placed({width} x {height} in {wide} x {tall})"

    @classmethod
    def of(cls, image: Float[Tensor, "3 h w"], frame: Frame) -> "Placed":
        """Place an image."""
        return cls(image, frame, frame.to_input(image[None]))

    @property
    def content(self) -> Float[Tensor, "3 a b"]:
        """The image as the network sees it, without padding."""
        return self.pixels[0, :, *self.frame.content].contiguous()

    def at_content(self, content: Float[Tensor, "3 a b"]) -> "Placed":
        """Another content as an image of its own: its pixels are those of the network."""
        frame = replace(self.frame, image_size=self.frame.content_size, scale=(1.0, 1.0))
        return Placed.of(content, frame)
