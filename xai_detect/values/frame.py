"""Where an image sits inside a network's input, and the way back.

Everything a caller sees is in *image* pixels; everything inside a network is in *input* pixels.
This is the only place where the two meet.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from xai_detect.values.boxes import Size


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
            rounded as OpenCV's resize rounds it, and the gradient passes straight through.
    """

    image_size: Size
    input_size: Size
    content_size: Size
    scale: tuple[float, float]
    top: int
    left: int
    fill: float
    quantised: bool

    @classmethod
    def letterbox(
        cls, image_size: Size, side: int, *, stride: int, fill: float, rectangle: bool = True
    ) -> "Frame":
        """Fit the image into a square of ``side`` and pad it, as ultralytics' predictor does.

        Args:
            image_size: ``(height, width)`` of the image.
            side: Longest side of the input.
            stride: The input's sides become multiples of it.
            fill: Value of the padding, in [0, 1].
            rectangle: Pad each side only up to the next multiple of ``stride``; else to ``side``.
        """
        height, width = image_size
        scale = min(side / height, side / width)
        content = (max(round(height * scale), 1), max(round(width * scale), 1))
        spare = (side - content[0], side - content[1])
        if rectangle:
            spare = (spare[0] % stride, spare[1] % stride)
        top, left = round(spare[0] / 2 - 0.1), round(spare[1] / 2 - 0.1)
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
    def unchanged(cls, image_size: Size) -> "Frame":
        """Hand the image over as it is."""
        return cls(image_size, image_size, image_size, (1.0, 1.0), 0, 0, 0.0, False)

    def to_input(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 i j"]:
        """Place images in the input, differentiably."""
        if images.shape[-2:] == self.content_size:
            smooth = images
        else:
            smooth = functional.interpolate(
                images, size=self.content_size, mode="bilinear", align_corners=False
            )
        content = smooth
        if self.quantised:
            exact = torch.stack([self._eight_bit(image) for image in images.detach()])
            content = smooth + (exact - smooth).detach() if images.requires_grad else exact
        below = self.input_size[0] - self.content_size[0] - self.top
        right = self.input_size[1] - self.content_size[1] - self.left
        return functional.pad(content, (self.left, right, self.top, below), value=self.fill)

    def _eight_bit(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 i j"]:
        pixels = (image * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        if pixels.shape[:2] != self.content_size:
            height, width = self.content_size
            pixels = cv2.resize(
                np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_LINEAR
            )
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255

    def pull_back(self, gradient: Float[Tensor, "k c i j"]) -> Float[Tensor, "k c h w"]:
        """Turn gradients at the input into gradients at the image (the chain rule).

        Sums are kept: ``sum(pull_back(g) * image) == sum(g * to_input(image))`` up to rounding and
        padding. Pixels the resize skips get exactly 0, because they cannot matter.
        """
        content = self._content(gradient)
        if self.content_size == self.image_size:
            return content.clone()
        image = gradient.new_zeros(*gradient.shape[:2], *self.image_size, requires_grad=True)
        with torch.enable_grad():
            placed = functional.interpolate(
                image, size=self.content_size, mode="bilinear", align_corners=False
            )
        return torch.autograd.grad(placed, image, content)[0]

    def map_to_image(self, heatmaps: Float[Tensor, "k i j"]) -> Float[Tensor, "k h w"]:
        """Cut the padding off heatmaps over the input and stretch the rest over the image."""
        return functional.interpolate(
            self._content(heatmaps[:, None]),
            size=self.image_size,
            mode="bilinear",
            align_corners=False,
        )[:, 0]

    def _content(self, values: Tensor) -> Tensor:
        height, width = self.content_size
        return values[..., self.top : self.top + height, self.left : self.left + width]

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
