"""Ultralytics networks: YOLOv3u to YOLO26 with dense heads, end-to-end heads, and RT-DETR.

All knowledge of the vendor's internals is here. What is read of a network: ``names``, ``stride``,
its last layer (the head), the head's ``decode_bboxes``, ``dfl``, ``anchors``, ``strides`` and
``end2end``, and the dictionary of raw outputs it returns in evaluation mode.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from ultralytics.nn.modules.head import RTDETRDecoder
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import xywh2xyxy

from xai_detect.detectors.attention import Sampled, gathered, watched
from xai_detect.detectors.engine import Engine, only_eager
from xai_detect.detectors.protocol import Candidates, Patches, Raw
from xai_detect.detectors.yolo.bare import BareNetwork, grid
from xai_detect.detectors.yolo.patches import run_locally
from xai_detect.errors import InputError, TargetError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame

GREY = 114 / 255
"""Letterbox padding that ultralytics trains and predicts with."""

MOST_DETECTIONS = 300
"""The library's own limit per image."""

FORCED = 1e4
"""Added to the selection score of a query that must be kept; far above any logit."""


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
        imgsz: int = 640,
        fill: float = GREY,
        iou: float = 0.7,
        device: torch.device | str = "cpu",
        engine: str = "eager",
    ) -> None:
        """Wrap a network in evaluation mode.

        Args:
            network: A ``DetectionModel`` or ``RTDETRDetectionModel``.
            provenance: Where the weights come from.
            imgsz: Longest side of the input in pixels, rounded up to the network's stride.
            fill: Value of the letterbox padding in [0, 1].
            iou: Boxes of one class that overlap more are suppressed; end-to-end heads ignore it.
            device: Where to run.
            engine: How to run: one of ``ENGINES``; RT-DETR runs as it is.

        Raises:
            InputError: If a size or limit makes no sense, or the engine cannot be used.
        """
        if not 1 <= imgsz <= 8192:
            raise InputError(f"imgsz is {imgsz}; expected a side between 1 and 8192 pixels")
        if not 0 <= iou <= 1:
            raise InputError(f"iou is {iou}; expected a limit in [0, 1]")
        self.module: nn.Module = network.to(device).eval()
        self.provenance = provenance
        self.class_names: tuple[str, ...] = tuple(
            network.names[index] for index in range(len(network.names))
        )
        self.fill = fill
        self.iou = iou
        self.device = torch.device(device)
        self._head: Any = network.model[-1]
        self._queries = isinstance(self._head, RTDETRDecoder)
        if self._queries:
            only_eager(engine, "RT-DETR, which chooses its queries by rank,")
            _fold_projections(self._head)
        self._engine = Engine(engine, self.module, BareNetwork(network), self.device)
        self.feature_layers: tuple[str, ...] = _entering(self._head)
        self._stride = max(int(network.stride.max()), 32)
        self._side = -(-imgsz // self._stride) * self._stride

    def frame(self, image_size: Size) -> Frame:
        """Letterbox, as the library's predictor does; RT-DETR stretches instead."""
        if self._queries:
            return Frame.stretch(image_size, (self._side, self._side))
        return Frame.letterbox(image_size, self._side, stride=self._stride, fill=self.fill)

    @torch.no_grad()  # not inference_mode: the head caches its anchors for candidate
    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Find objects as ``YOLO.predict`` does: threshold, then suppress within each class."""
        if not 0 <= confidence <= 1:
            raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")
        output = self._forward(pixels)
        rows = zip(output.logits.sigmoid(), output.boxes, output.candidates, strict=True)
        return [self._select(*row, frame, confidence) for row in rows]

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

    @torch.no_grad()
    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every raw prediction; end-to-end heads give their one-to-one branch."""
        output = self._forward(pixels)
        return Raw(output.boxes[:, :, None], output.logits.sigmoid())

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Logits and box at the targets' cells or queries, differentiable in ``pixels``."""
        del frame  # a cell or token is named by its index alone
        wanted = torch.tensor(
            [target.candidate for target in targets], dtype=torch.int64, device=self.device
        )
        # One query may answer several targets.
        kept, places = torch.unique(wanted, return_inverse=True)
        output = self._forward(pixels, keep=kept)
        classes = output.logits.shape[2]
        for target in targets:
            if not 0 <= target.label < classes:
                raise TargetError(
                    f"class {target.label} does not exist; this network has {classes} classes"
                )
        if self._queries:  # kept queries come first, in order
            rows = places
        else:
            rows = wanted
            if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(
                output.candidates[0]
            ):
                raise TargetError(
                    f"candidate {int(wanted.max())} does not exist; at this input size the "
                    f"network has {len(output.candidates[0])}: use the frame of the same image"
                )
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
        with torch.no_grad(), watched(list(self._head.decoder.layers)) as seen:
            self._forward(pixels, keep=kept)
        return gathered(seen, places)

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """The class logit of the target's candidate, differentiable in ``pixels``."""
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def patches(
        self, features: Sequence[Float[Tensor, "1 _ _ _"]], targets: Sequence[Target]
    ) -> Patches | None:
        """The targets' predictions from windows of the features; None for RT-DETR."""
        found = run_locally(self._head, features, targets)
        if found is None:
            return None
        boxes = self._decoded(found.sides, found.anchors, found.strides)
        answers = Candidates(found.logits, boxes)
        return Patches(answers, found.windows, found.levels, found.corners)

    def _forward(self, pixels: Tensor, keep: Tensor | None = None) -> _Output:
        pixels = pixels.to(self.device)
        return (
            self._query_forward(pixels, keep)
            if self._queries
            else self._dense_forward(pixels, exact=keep is not None)
        )

    def _dense_forward(self, pixels: Tensor, *, exact: bool) -> _Output:
        if self._engine.plain(exact=exact):
            _, raw = self.module(pixels)
            if "one2one" in raw:
                raw = raw["one2one" if self._head.end2end else "one2many"]
            sides, scores = raw["boxes"], raw["scores"]
            cells = self._head.anchors, self._head.strides
        else:
            sides, scores = self._engine(pixels, exact=exact)
            cells = grid(self._head, pixels)
        boxes = self._decoded(sides, *cells)
        logits = scores.transpose(1, 2)
        names = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
        return _Output(logits, boxes, names)

    def _decoded(self, sides: Tensor, anchors: Tensor, strides: Tensor) -> Tensor:
        """Boxes ``(b, a, 4)``, as corners in input pixels."""
        head = self._head
        boxes = (head.decode_bboxes(head.dfl(sides), anchors[None]) * strides).transpose(1, 2)
        corners: Tensor = boxes if head.end2end else xywh2xyxy(boxes)
        return corners

    def _query_forward(self, pixels: Tensor, keep: Tensor | None) -> _Output:
        with self._selection(keep) as seen:
            _, raw = self.module(pixels)
        boxes, logits = raw[0][-1], raw[1][-1]
        tokens = seen[0].amax(dim=2).topk(logits.shape[1], dim=1).indices
        height, width = pixels.shape[2:]
        scale = boxes.new_tensor([width, height, width, height])
        return _Output(logits, xywh2xyxy(boxes) * scale, tokens)

    @contextmanager
    def _selection(self, keep: Tensor | None) -> Iterator[list[Tensor]]:
        """Watch which tokens become queries, and force some of them, in order, to the front.

        The selection scores are used for nothing else in evaluation mode, so raising some by a
        constant changes only which queries there are.
        """
        seen: list[Tensor] = []

        def watch(_module: nn.Module, _inputs: Any, scores: Tensor) -> Tensor:
            if keep is not None and len(keep):
                if not 0 <= int(keep.min()) <= int(keep.max()) < scores.shape[1]:
                    raise TargetError(
                        f"candidate {int(keep.max())} does not exist; "
                        f"the encoder has {scores.shape[1]} tokens"
                    )
                lift = torch.zeros_like(scores[0])
                steps = torch.arange(len(keep), 0, -1, device=scores.device, dtype=scores.dtype)
                lift[keep] = FORCED * steps[:, None]
                scores = scores + lift
            seen.append(scores.detach())
            return scores

        hook = self._head.enc_score_head.register_forward_hook(watch)
        try:
            yield seen
        finally:
            hook.remove()


def _entering(head: Any) -> tuple[str, ...]:
    """The layers whose outputs enter the head; negative numbers count back from it."""
    sources = [head.f] if isinstance(head.f, int) else head.f
    return tuple(f"model.{one if one >= 0 else head.i + one}" for one in sources)


def _fold_projections(head: Any) -> None:
    """Fold the batch norms that the library's fusing leaves in RT-DETR's head.

    Torch 2.15 passes the strided gradients that arrive there on wrongly; convolutions do not.
    """
    for index, part in enumerate(head.input_proj):
        if isinstance(part, nn.Sequential):
            layers: list[Any] = [layer.eval() for layer in part]
            head.input_proj[index] = fuse_conv_bn_eval(*layers)


def _corners_to_centre(boxes: Tensor) -> Tensor:
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
