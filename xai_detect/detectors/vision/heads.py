"""Torchvision's networks opened up: what they compute before thresholds and suppression.

Four families of heads, one record: Faster R-CNN (softmax over proposals), SSD (softmax over
anchors), RetinaNet (sigmoid over anchors) and FCOS (sigmoid and centreness over points).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_detect.detectors.softmax import softmax_log_odds
from xai_detect.errors import MissingExtraError, WeightsError
from xai_detect.values.boxes import Size

try:
    from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.ssd import SSD, SSDFeatureExtractorVGG
    from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet
    from torchvision.models.detection.transform import resize_boxes
    from torchvision.ops import clip_boxes_to_image
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7
except (ImportError, RuntimeError, OSError) as error:  # a build that does not fit torch's
    raise MissingExtraError(
        f"torchvision {metadata.version('torchvision')} does not work with torch "
        f"{torch.__version__} ({str(error).splitlines()[0]}); "
        "pip install --upgrade torch torchvision"
    ) from error


class Parts(NamedTuple):
    """What a network computed for a batch of images of one size; lists have one entry per image.

    Attributes:
        size: ``(height, width)`` of the input.
        inner: ``(height, width)`` after the network's own resizing.
        logits: One row per anchor or proposal, one column per class of the head.
        quality: FCOS' centreness logits, one column; elsewhere None.
        regression: What the box coder decodes.
        anchors: Anchors or proposals, in pixels after resizing.
    """

    size: Size
    inner: Size
    logits: list[Tensor]
    quality: list[Tensor | None]
    regression: list[Tensor]
    anchors: list[Tensor]


class OpenNetwork:
    """A network whose raw predictions can be asked for.

    Attributes:
        module: The network.
        two_stage: Whether it pools proposals.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        """Open a network.

        Raises:
            WeightsError: If it is of another kind.
        """
        if not isinstance(network, FasterRCNN | RetinaNet | FCOS | SSD):
            raise WeightsError(
                f"{name} is a {type(network).__name__}; "
                "expected a FasterRCNN, RetinaNet, FCOS or SSD"
            )
        self.module: Any = network
        self.two_stage = isinstance(network, FasterRCNN)
        self._softmax = isinstance(network, FasterRCNN | SSD)

    def feature_layers(self) -> tuple[str, ...]:
        """The layers whose outputs enter the head, finest first; none for an unknown backbone.

        SSD's first level is normalised on its way from there to the head.
        """
        backbone = self.module.backbone
        if isinstance(backbone, BackboneWithFPN):
            blocks = [f"fpn.layer_blocks.{row}" for row in range(len(backbone.fpn.layer_blocks))]
            coarser = isinstance(backbone.fpn.extra_blocks, LastLevelP6P7) and not self.two_stage
            names = [*blocks, *(["fpn.extra_blocks.p6", "fpn.extra_blocks.p7"] if coarser else [])]
        elif isinstance(backbone, SSDFeatureExtractorVGG | SSDLiteFeatureExtractorMobileNet):
            fine = isinstance(backbone, SSDFeatureExtractorVGG)
            first = (
                ["features"] if fine else [f"features.{i}" for i in range(len(backbone.features))]
            )
            names = [*first, *(f"extra.{row}" for row in range(len(backbone.extra)))]
        else:
            names = []
        return tuple(f"backbone.{name}" for name in names)

    def run(self, pixels: Tensor, places: Tensor | None = None) -> Parts:
        """Run the network up to its heads.

        Args:
            pixels: ``(b, 3, i, j)``, RGB in [0, 1].
            places: Boxes in input pixels that stand in for the proposals of a two-stage network.
        """
        network, size = self.module, (pixels.shape[2], pixels.shape[3])
        images, _ = network.transform(list(pixels))
        features = network.backbone(images.tensors)
        if isinstance(features, Tensor):
            features = {"0": features}
        if not self.two_stage:
            maps = list(features.values())
            anchors = network.anchor_generator(images, maps)
            return _one_stage(size, images, network.head(maps), anchors)
        if places is None:
            proposals, _ = network.rpn(images, features)
        else:
            proposals = [resize_boxes(places, size, images.image_sizes[0])] * len(pixels)
        heads = network.roi_heads
        pooled = heads.box_roi_pool(features, proposals, images.image_sizes)
        return _two_stage(size, images, heads.box_predictor(heads.box_head(pooled)), proposals)

    @contextmanager
    def watched(self, size: Size) -> Iterator[Callable[[], Parts]]:
        """Keep what the network's parts return while its own forward pass runs."""
        network, seen = self.module, dict[str, Any]()
        watched = {"transform": network.transform}
        if self.two_stage:
            watched |= {"proposals": network.rpn, "head": network.roi_heads.box_predictor}
        else:
            watched |= {"anchors": network.anchor_generator, "head": network.head}

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            return lambda _module, _inputs, output: seen.update({name: output})

        def parts() -> Parts:
            images = seen["transform"][0]
            if self.two_stage:
                return _two_stage(size, images, seen["head"], seen["proposals"][0])
            return _one_stage(size, images, seen["head"], seen["anchors"])

        hooks = [part.register_forward_hook(keep(name)) for name, part in watched.items()]
        try:
            yield parts
        finally:
            for hook in hooks:
                hook.remove()

    def probabilities(self, parts: Parts, item: int) -> Tensor:
        """Confidence of every anchor or proposal and column, as the network reports it."""
        logits, quality = parts.logits[item], parts.quality[item]
        if self._softmax:
            return logits.softmax(dim=-1)
        if quality is None:
            return logits.sigmoid()
        return (logits.sigmoid() * quality.sigmoid()).sqrt()

    def log_odds(self, parts: Parts, item: int, rows: Tensor) -> Tensor:
        """Log-odds of that confidence for some rows, without loss of digits near 0 and 1."""
        logits, quality = parts.logits[item][rows], parts.quality[item]
        if self._softmax:
            return softmax_log_odds(logits)
        if quality is None:
            return logits
        centre = quality[rows]
        known, central = functional.logsigmoid(logits), functional.logsigmoid(centre)
        log_p = (known + central) / 2
        # 1 - p = (1 - p * p) / (1 + p), and 1 - a * b = (1 - a) + a * (1 - b)
        log_rest = torch.logaddexp(
            functional.logsigmoid(-logits), known + functional.logsigmoid(-centre)
        )
        return log_p - (log_rest - torch.log1p(log_p.exp()))

    def boxes(self, parts: Parts, item: int, rows: Tensor | slice) -> Tensor:
        """Decoded boxes ``(n, g, 4)`` in input pixels; two-stage: g is the number of columns."""
        regression, anchors = parts.regression[item][rows], parts.anchors[item][rows]
        module = self.module
        if self.two_stage:
            decoded = module.roi_heads.box_coder.decode(regression, [anchors])
        elif isinstance(module, FCOS):
            decoded = module.box_coder.decode(regression, anchors)[:, None]
        else:
            decoded = module.box_coder.decode_single(regression, anchors)[:, None]
        flat = clip_boxes_to_image(decoded.reshape(-1, 4), parts.inner)
        groups = decoded.shape[1] if len(anchors) else 1
        return resize_boxes(flat, parts.inner, parts.size).view(len(anchors), groups, 4)

    def proposals(self, parts: Parts, item: int, rows: Tensor | slice) -> Tensor:
        """Anchors or proposals ``(n, 4)`` in input pixels."""
        return resize_boxes(parts.anchors[item][rows], parts.inner, parts.size)


def _one_stage(size: Size, images: Any, head: dict[str, Tensor], anchors: list[Tensor]) -> Parts:
    quality = head.get("bbox_ctrness")
    return Parts(
        size,
        tuple(images.image_sizes[0]),
        list(head["cls_logits"]),
        [None] * len(anchors) if quality is None else list(quality),
        list(head["bbox_regression"]),
        anchors,
    )


def _two_stage(
    size: Size, images: Any, head: tuple[Tensor, Tensor], proposals: list[Tensor]
) -> Parts:
    counts = [len(boxes) for boxes in proposals]
    return Parts(
        size,
        tuple(images.image_sizes[0]),
        list(torch.split(head[0], counts)),
        [None] * len(counts),
        list(torch.split(head[1], counts)),
        proposals,
    )
