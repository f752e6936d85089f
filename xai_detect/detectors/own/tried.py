"""A network of somebody's own, tried once: does its decoder give what it should?"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from xai_detect.detectors.lending import device_of, handed_over
from xai_detect.errors import InputError, near
from xai_detect.values.boxes import Size

IMAGES = 2
"""So many are tried at once; a decoder that forgets the batch is seen."""

EMPTY = 0.5
"""The value of every pixel of the image that is tried."""

MANY = 16
"""Of so many log-odds some are below 0, on an image that shows nothing."""


def check_layers(network: nn.Module, names: Sequence[str]) -> None:
    """Check that layers are there.

    Raises:
        InputError: If one is not; the message suggests near names.
    """
    known = {name for name, _ in network.named_modules() if name}
    for name in names:
        if name not in known:
            hint = near(name, known) or "see network.named_modules()"
            raise InputError(f"the network has no layer {name!r}; {hint}")


def check_trial(
    module: nn.Module,
    decode: Callable[[Any], Any],
    classes: int,
    size: Size,
    layers: Sequence[str],
) -> None:
    """Run a borrowed network on an empty image, and check what is decoded.

    Args:
        module: From RGB in [0, 1] to the network's output.
        decode: From that to boxes and log-odds.
        classes: How many there are.
        size: ``(height, width)`` of the input.
        layers: Names in ``module`` that must each answer with one map.

    Raises:
        InputError: If anything has another form.
    """
    empty = torch.full((IMAGES, 3, *size), EMPTY, device=device_of(module))
    pixels = handed_over(empty, module).requires_grad_()
    seen: dict[str, Any] = {}
    with torch.enable_grad(), ExitStack() as hooks:
        for name in layers:
            part = module.get_submodule(name)
            hook = part.register_forward_hook(
                lambda _part, _given, output, name=name: seen.update({name: output})
            )
            hooks.callback(hook.remove)
        answer = decode(module(pixels))
        boxes, log_odds = _pair(answer)
        _check_shapes(boxes, log_odds, classes)
        _check_gradients(log_odds, pixels)
    _check_values(boxes.detach(), log_odds.detach(), size)
    for name in layers:
        output = seen.get(name)
        if not isinstance(output, Tensor) or output.ndim != 4:
            form = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(
                f"the layer {name.removeprefix('network.')!r} answers with {form}; expected one "
                "map (n, c, h, w): name another layer, or none"
            )


def _pair(answer: Any) -> tuple[Tensor, Tensor]:
    parts = tuple(answer) if isinstance(answer, list | tuple) else (answer,)
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise InputError(
            f"decode answers with {kinds}; expected two tensors, boxes (n, k, 4) and log-odds "
            "(n, k, c)"
        )
    return parts


def _check_shapes(boxes: Tensor, log_odds: Tensor, classes: int) -> None:
    count = log_odds.shape[1] if log_odds.ndim == 3 else 0
    wanted = ((IMAGES, count, 4), (IMAGES, count, classes))
    if not count or (tuple(boxes.shape), tuple(log_odds.shape)) != wanted:
        raise InputError(
            f"decode answers with boxes {tuple(boxes.shape)} and log-odds {tuple(log_odds.shape)} "
            f"for {IMAGES} images and {classes} class names; expected (n, k, 4) and (n, k, c), "
            "without objectness or background among the classes"
        )


def _check_gradients(log_odds: Tensor, pixels: Tensor) -> None:
    gradient = None
    if log_odds.requires_grad:
        (gradient,) = torch.autograd.grad(log_odds.sum(), pixels, allow_unused=True)
    if gradient is None:
        raise InputError(
            "the log-odds of decode have no gradient at the pixels; expected them differentiable: "
            "leave detach(), numpy() and no_grad() out, or wrap a function as a black box by wrap"
        )


def _check_values(boxes: Tensor, log_odds: Tensor, size: Size) -> None:
    if not (boxes.isfinite().all() and log_odds.isfinite().all()):
        raise InputError(
            "decode answers with boxes or log-odds that are not finite; expected finite ones: use "
            "logsigmoid, not the logarithm of a sigmoid"
        )
    if log_odds[0].numel() >= MANY and float(log_odds.min()) >= 0:
        raise InputError(
            f"decode answers with log-odds from {float(log_odds.min()):.3g} to "
            f"{float(log_odds.max()):.3g} on an empty image, none below 0; expected ln(p / (1 - "
            "p)), which is the logit of a sigmoid: torch.logit makes it of probabilities"
        )
    turned = (boxes[..., 2:] < boxes[..., :2]).any(dim=-1)
    if float(turned.float().mean()) > 0.5:
        raise InputError(
            "decode answers with boxes whose right or lower side comes first; expected (x1, y1, "
            "x2, y2): from a centre and a size, take and add half of the size"
        )
    if float(boxes.max()) <= 1 < min(size):
        raise InputError(
            f"decode answers with boxes up to {float(boxes.max()):.3g} in an input of {size[1]} x "
            f"{size[0]}; expected input pixels: multiply shares by its width and height"
        )
