"""Ultralytics networks: YOLOv3u to YOLO26 with dense heads, end-to-end heads, and RT-DETR.

All knowledge of the vendor's internals is here. What is read of a network: ``names``, ``stride``,
its last layer (the head), the head's ``decode_bboxes``, ``dfl``, ``anchors``, ``strides`` and
``end2end``, and the dictionary of raw outputs it returns in evaluation mode.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from ultralytics.nn.modules.head import RTDETRDecoder
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import xywh2xyxy

from xai_detect.detectors.asked import check_candidates, check_targets
from xai_detect.detectors.attention import Sampled, gathered, watched
from xai_detect.detectors.engine import Engine, only_eager
from xai_detect.detectors.lending import (
    contiguous_gradients,
    device_of,
    handed_over,
    lent,
)
from xai_detect.detectors.protocol import Candidates, Named, Patches, Raw
from xai_detect.detectors.yolo.bare import BareNetwork, features, grid
from xai_detect.detectors.yolo.conventions import GREY, MOST_DETECTIONS, both_sides
from xai_detect.detectors.yolo.patches import run_locally
from xai_detect.detectors.yolo.queries import run_queries
from xai_detect.errors import InputError
from xai_detect.values.boxes import Sides, Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame


class _Output(NamedTuple):
    """One forward pass, the same for every head.

    Attributes:
        logits: Class logits of every candidate.
        boxes: ``(x1, y1, x2, y2)`` in input pixels.
        candidates: The name of each row, stable between images.
    """

    logits: Float[Tensor, "b a c"]
    boxes: Float[Tensor, "b a 4"]
    candidates: Int[Tensor, "b a"]


class UltralyticsDetector:
    """An ultralytics detection network, white box.

    A candidate is a cell of the head's grid, counted over all levels; for RT-DETR it is the
    encoder token from which the query was started.
    """

    def __init__(
        self,
        network: Any,
        provenance: Provenance,
        *,
        imgsz: Sides = 640,
        fill: float = GREY,
        iou: float = 0.7,
        engine: str = "eager",
    ) -> None:
        """Wrap a network; it runs where it lies, in evaluation mode, and is left as it is.

        Args:
            network: A ``DetectionModel`` or ``RTDETRDetectionModel``.
            provenance: Where the weights come from.
            imgsz: Longest side of the input in pixels, or its height and width; rounded up to the
                network's stride.
            fill: Value of the letterbox padding in [0, 1].
            iou: Boxes of one class that overlap more are suppressed; end-to-end heads ignore it.
            engine: How to run: one of ``ENGINES``; RT-DETR runs as it is.

        Raises:
            InputError: If a size or limit makes no sense, or the engine cannot be used.
        """
        sides = both_sides(imgsz)
        if not 0 <= iou <= 1:
            raise InputError(f"iou is {iou}; expected a limit in [0, 1]")
        self.module: nn.Module = network
        self.provenance = provenance
        self.class_names: tuple[str, ...] = tuple(
            network.names[index] for index in range(len(network.names))
        )
        self.fill = fill
        self.iou = iou
        self._head: Any = network.model[-1]
        self._queries = isinstance(self._head, RTDETRDecoder)
        if self._queries:
            only_eager(engine, "RT-DETR, which chooses its queries by rank,")
        self._engine = Engine(engine, self.module, BareNetwork(network), device_of(network))
        self.feature_layers: tuple[str, ...] = _entering(self._head)
        self._stride = max(int(network.stride.max()), 32)
        self._sides = self._rounded(sides, 1.0)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return device_of(self.module)

    def frame(self, image_size: Size) -> Frame:
        """Letterbox, as the library's predictor does; RT-DETR stretches instead."""
        return self._frame(image_size, self._sides)

    def finer(self, image_size: Size, factor: float) -> Frame:
        """The same at another resolution, up to the next multiple of the network's stride."""
        return self._frame(image_size, self._rounded(self._sides, factor))

    def _rounded(self, sides: Size, factor: float) -> Size:
        """Sides of another size, up to the next multiple of the stride."""
        height, width = (-(-round(side * factor) // self._stride) * self._stride for side in sides)
        return height, width

    def _frame(self, image_size: Size, sides: Size) -> Frame:
        if self._queries:
            return Frame.stretch(image_size, sides)
        return Frame.letterbox(image_size, sides, stride=self._stride, fill=self.fill)

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Find objects as ``YOLO.predict`` does: threshold, then suppress within each class."""
        _check_confidence(confidence)
        with lent(self.module), torch.no_grad():
            output = self._forward(pixels)
        rows = zip(output.logits.sigmoid(), output.boxes, output.candidates, strict=True)
        return [self._select(*row, frame, confidence) for row in rows]

    def look(
        self, pixels: Float[Tensor, "b 3 i j"], frames: Sequence[Frame], confidence: float = 0.25
    ) -> tuple[list[Detections], Named]:
        """What ``detect`` and ``named`` give, from one pass."""
        _check_confidence(confidence)
        found = self.named(pixels)
        places, chances = found.raw.boxes[:, :, 0], found.raw.probabilities
        rows = zip(chances, places, found.candidates, frames, strict=True)
        return [self._select(*row, confidence) for row in rows], found

    def _select(
        self, scores: Tensor, boxes: Tensor, candidates: Tensor, frame: Frame, confidence: float
    ) -> Detections:
        if self._queries or self._head.end2end:
            rows, labels = self._best_pairs(scores)
            kept = scores[rows, labels] > confidence
            rows, labels = rows[kept], labels[kept]
        else:
            decoded = torch.cat([_corners_to_centre(boxes), scores], dim=1).T[None]
            found, kept_rows = non_max_suppression(
                decoded, confidence, self.iou, max_det=MOST_DETECTIONS, return_idxs=True
            )
            rows, labels = kept_rows[0].view(-1).long(), found[0][:, 5].long()
        in_image = frame.boxes_to_image(boxes[rows]).cpu()
        # A head that regresses sides without bins, as YOLO26's, may turn a weak box inside out.
        in_image[:, 2:] = torch.maximum(in_image[:, :2], in_image[:, 2:])
        return Detections(
            boxes=in_image,
            scores=scores[rows, labels].cpu(),
            labels=labels.cpu(),
            candidates=candidates[rows].cpu(),
            proposals=in_image,
            image_size=frame.image_size,
            class_names=self.class_names,
        )

    def _best_pairs(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The strongest (candidate, class) pairs, as end-to-end heads choose them."""
        count = min(MOST_DETECTIONS, len(scores))
        rows = torch.arange(len(scores), device=scores.device)
        if not self._queries:
            rows = scores.amax(dim=1).topk(count).indices
        flat = scores[rows].flatten().topk(min(count, scores[rows].numel())).indices
        classes = scores.shape[1]
        return rows[flat // classes], flat % classes

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every raw prediction; end-to-end heads give their one-to-one branch."""
        return self.named(pixels).raw

    def named(self, pixels: Float[Tensor, "b 3 i j"]) -> Named:
        """Every raw prediction with its cell or token."""
        with lent(self.module), torch.no_grad():
            output = self._forward(pixels)
        raw = Raw(output.boxes[:, :, None], output.logits.sigmoid())
        return Named(raw, output.candidates, None)

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Logits and box at the targets' cells or queries, differentiable in ``pixels``."""
        del frame  # a cell or token is named by its index alone
        check_targets(targets, len(self.class_names))
        wanted = torch.tensor(
            [target.candidate for target in targets], dtype=torch.int64, device=self.device
        )
        # One query may answer several targets.
        kept, places = torch.unique(wanted, return_inverse=True)
        with lent(self.module):
            output = self._forward(pixels, keep=kept)
        if not self._queries:
            check_candidates(targets, output.logits.shape[1])
        rows = places if self._queries else wanted  # kept queries come first, in order
        return Candidates(
            output.logits[:, rows].to(pixels.device), output.boxes[:, rows].to(pixels.device)
        )

    def sampled(
        self, pixels: Float[Tensor, "1 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Sampled:
        """Where the targets' queries looked; RT-DETR only."""
        del frame
        if not self._queries:
            raise InputError(
                f"attention needs queries that read features, which {self.provenance.name} does "
                "not have; RT-DETR (rtdetr-l or rtdetr-x) does"
            )
        wanted = torch.tensor([target.candidate for target in targets], device=self.device)
        kept, places = torch.unique(wanted, return_inverse=True)
        check_targets(targets, len(self.class_names))
        layers = list(self._head.decoder.layers)
        with lent(self.module), torch.no_grad(), watched(layers) as seen:
            self._forward(pixels, keep=kept)
        return gathered(seen, places)

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """The class logit of the target's candidate, differentiable in ``pixels``."""
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def nearby(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """The same as ``candidate``, from no more of the head than reaches the targets' cells."""
        check_targets(targets, len(self.class_names))
        if self._queries or not self._engine.plain(exact=True):
            return self.candidate(pixels, targets, frame)
        with lent(self.module):
            given = handed_over(pixels, self.module)
            _forget_grid(self._head)
            with contiguous_gradients(self.module):
                entering = features(self.module, given)
            check_candidates(targets, sum(level.shape[2] * level.shape[3] for level in entering))
            found = [
                run_locally(self._head, [level[row : row + 1] for level in entering], targets, True)
                for row in range(len(given))
            ]
        if any(local is None for local in found):
            return self.candidate(pixels, targets, frame)
        local = [answer for answer in found if answer is not None]
        places = [self._decoded(answer.sides, answer.anchors, answer.strides) for answer in local]
        log_odds = torch.cat([answer.logits for answer in local])
        return Candidates(log_odds.to(pixels), torch.cat(places).to(pixels))

    def patches(
        self, features: Sequence[Float[Tensor, "1 _ _ _"]], targets: Sequence[Target]
    ) -> Patches | None:
        """The targets' predictions from windows of the features; None for RT-DETR."""
        with lent(self.module):
            found = run_locally(self._head, features, targets)
        if found is None:
            return None
        boxes = self._decoded(found.sides, found.anchors, found.strides)
        answers = Candidates(found.logits, boxes)
        return Patches(answers, found.windows, found.levels, found.corners)

    def _forward(self, pixels: Tensor, keep: Tensor | None = None) -> _Output:
        given = handed_over(pixels, self.module)
        _forget_grid(self._head)
        run = self._query_forward if self._queries else self._dense_forward
        found = run(given, keep)
        return found._replace(
            logits=found.logits.to(pixels.dtype), boxes=found.boxes.to(pixels.dtype)
        )

    def _dense_forward(self, pixels: Tensor, keep: Tensor | None) -> _Output:
        exact = keep is not None
        if self._engine.plain(exact=exact):
            with contiguous_gradients(self.module):
                _, raw = self.module(pixels)
            if "one2one" in raw:
                raw = raw["one2one" if self._head.end2end else "one2many"]
            sides, scores = raw["boxes"], raw["scores"]
        else:
            sides, scores = self._engine(pixels, exact=exact)
        boxes = self._decoded(sides, *grid(self._head, pixels))
        logits = scores.transpose(1, 2)
        names = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
        return _Output(logits, boxes, names)

    def _query_forward(self, pixels: Tensor, keep: Tensor | None) -> _Output:
        with contiguous_gradients(self.module):
            return _Output(*run_queries(self.module, pixels, keep))

    def _decoded(self, sides: Tensor, anchors: Tensor, strides: Tensor) -> Tensor:
        """Boxes ``(b, a, 4)``, as corners in input pixels."""
        head = self._head
        boxes = (head.decode_bboxes(head.dfl(sides), anchors[None]) * strides).transpose(1, 2)
        corners: Tensor = boxes if head.end2end else xywh2xyxy(boxes)
        return corners


def _check_confidence(confidence: float) -> None:
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")


def _entering(head: Any) -> tuple[str, ...]:
    """The layers whose outputs enter the head; negative numbers count back from it."""
    sources = [head.f] if isinstance(head.f, int) else head.f
    return tuple(f"model.{source if source >= 0 else head.i + source}" for source in sources)


def _forget_grid(head: Any) -> None:
    """Let a head make anew the grid that it kept from a run in inference mode, if it did."""
    kept = getattr(head, "anchors", None)
    if isinstance(kept, Tensor) and kept.is_inference():
        head.shape, head.shapes = None, []


def _corners_to_centre(boxes: Tensor) -> Tensor:
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
