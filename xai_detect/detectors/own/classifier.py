"""Any network that classifies whole images, with one head or several, as a white box."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.layout import ClassifierLayout, Colour, Head
from xai_detect.detectors.classifier.load import IMAGENET_MEAN, IMAGENET_STD
from xai_detect.detectors.classifier.network import Prepare
from xai_detect.detectors.lending import lent
from xai_detect.detectors.own.named import OWN, checked_names
from xai_detect.detectors.own.tried import check_layers
from xai_detect.detectors.weights.checkpoint import check_finite, content_digest
from xai_detect.detectors.yolo.conventions import GREY
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Provenance

UNRUN = (RuntimeError, AssertionError, TypeError, ValueError)
"""What networks raise that are given an input of a size that they do not take."""


@torch.inference_mode(False)
def wrap_classifier(
    network: nn.Module,
    class_names: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    size: int | Size = 224,
    mean: Colour = IMAGENET_MEAN,
    std: Colour = IMAGENET_STD,
    prepare: Prepare | None = None,
    multi_label: bool | Collection[str] = False,
    preprocessing: str = "stretch",
    shorter: int = 0,
    fill: float = GREY,
    feature_layers: Sequence[str] | None = None,
    domain: str = "photo",
    name: str | None = None,
) -> ImageClassifier:
    """A white box from any classifier that is given RGB images and answers with logits.

    A network with several heads is described by ``{"mask": ("none", "worn"), "age": (...)}``. Its
    classes are then called ``mask: worn``; each head is a candidate of its own, so that a class
    is compared with the others of its head. Such a network answers with a mapping that has these
    names, or with a tuple in this order.

    The network is tried once on an empty image. It is borrowed: it runs where it lies, in
    evaluation mode, and is given back as it was.

    Args:
        network: Takes ``(n, 3, height, width)``; answers with logits ``(n, c)`` before softmax or
            sigmoid, something that holds them as ``logits``, or a tuple that ends in them.
        class_names: Names in label order; with several heads, those of each.
        size: Side of a square input, or ``(height, width)``, in pixels.
        mean: Taken off each colour in [0, 1]; by default ImageNet's.
        std: What the rest is divided by.
        prepare: A differentiable function instead of ``mean`` and ``std``, from RGB in [0, 1],
            ``(n, 3, height, width)`` of that size, to what the network takes.
        multi_label: Each class on its own (sigmoid), or exactly one (softmax); with several heads,
            also the names of those whose classes stand on their own, as a single one must.
        preprocessing: The image stretched over the input by ``stretch``, its middle by ``crop``, or
            all of it in proportion, padded, by ``letterbox``.
        shorter: For ``crop``: the image's shorter side before it, in pixels; 0 takes the input's
            longest.
        fill: For ``letterbox``: value of the padding, in [0, 1].
        feature_layers: Names in ``network`` of the layers that methods on activations read; None
            takes the last that answers with a map, and none of a transformer.
        domain: ``photo`` or ``xray``.
        name: What a report calls it; None takes the network's class.

    Raises:
        InputError: If an argument makes no sense, or the network answers in another form.
        WeightsError: If the network holds NaN.
    """
    sides = (size, size) if isinstance(size, int) else size
    names, heads = _described(class_names, multi_label)
    if prepare is not None:
        if (mean, std) != (IMAGENET_MEAN, IMAGENET_STD):
            raise InputError("prepare stands instead of mean and std; leave one of them out")
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    layout = ClassifierLayout(
        "own", names, sides, mean, std, multi_label is True, domain,
        preprocessing, shorter, fill=fill, heads=heads,
    )  # fmt: skip
    shown = name or f"{type(network).__name__} in memory"
    check_layers(network, feature_layers or ())
    check_finite(network, shown)
    provenance = Provenance(shown, OWN, content_digest(network), domain, layout.words())
    inner = None if feature_layers is None else [f"network.{layer}" for layer in feature_layers]
    try:
        made = ImageClassifier(network, layout, provenance, prepare=prepare, feature_layers=inner)
    except UNRUN as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{shown} cannot be run on an input of {sides[1]} x {sides[0]} pixels ({error}); give "
            "the size that it takes as size="
        ) from error
    _check_answers(made)
    return made


def _described(
    class_names: Sequence[str] | Mapping[str, Sequence[str]],
    multi_label: bool | Collection[str],
) -> tuple[tuple[str, ...], tuple[Head, ...]]:
    """All class names in label order, and the heads that they belong to, if there are several.

    Raises:
        InputError: If a name is empty or there twice, or there is no head of a name.
    """
    if not isinstance(class_names, Mapping):
        if not isinstance(multi_label, bool):
            raise InputError(
                f"multi_label names heads ({', '.join(multi_label)}), but class_names describes "
                "one; give True or False"
            )
        return checked_names(class_names), ()
    alone = [multi_label] if isinstance(multi_label, str) else multi_label
    if not isinstance(alone, bool):
        for head in alone:
            if head not in class_names:
                raise InputError(
                    f"multi_label names the head {head!r}; choose from {', '.join(class_names)}"
                )
    names: list[str] = []
    heads: list[Head] = []
    for head, own in class_names.items():
        start = len(names)
        names.extend(f"{head}: {name}" for name in checked_names(own))
        free = alone if isinstance(alone, bool) else head in alone
        heads.append(Head(head, start, len(names), free))
    return checked_names(names), tuple(heads)


def _check_answers(made: ImageClassifier) -> None:
    """Check on an empty image that logits are given, with gradients.

    Raises:
        InputError: If there are probabilities, or there is no gradient at the pixels.
    """
    pixels = torch.zeros(1, 3, *made.layout.input_size, device=made.device).requires_grad_()
    with lent(made.module), torch.enable_grad():
        logits = made.module(pixels)
        gradient = None
        if logits.requires_grad:
            (gradient,) = torch.autograd.grad(logits.sum(), pixels, allow_unused=True)
    if gradient is None:
        raise InputError(
            f"the logits of {made.provenance.name} have no gradient at the pixels; leave detach(), "
            "numpy() and no_grad() out of it, or wrap a function as a black box by wrap"
        )
    for head in made.layout.answers:
        shares = logits[0, head.start : head.stop].detach()
        whole = abs(float(shares.sum()) - 1) < 1e-4
        if not head.multi_label and float(shares.min()) >= 0 and whole:
            raise InputError(
                f"{made.provenance.name} answers with numbers that add up to 1, as probabilities "
                "do; expected logits: leave its softmax out"
            )
