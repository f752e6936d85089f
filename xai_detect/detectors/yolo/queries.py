"""RT-DETR's choice of queries: which encoder tokens they start from, watched and forced.

What is read of the head: ``enc_score_head``, whose scores it ranks tokens by.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from ultralytics.utils.ops import xywh2xyxy

from xai_detect.errors import TargetError

FORCED = 1e4
"""Added to the selection score of a query that must be kept; far above any logit."""


def run_queries(
    network: Any, pixels: Float[Tensor, "b 3 i j"], keep: Int[Tensor, "k"] | None
) -> tuple[Float[Tensor, "b q c"], Float[Tensor, "b q 4"], Int[Tensor, "b q"]]:
    """Logits, boxes as corners in input pixels, and the token of every query.

    Args:
        network: The whole network, in evaluation mode.
        pixels: RGB in [0, 1].
        keep: Tokens that must become queries, in this order, before all others.

    Raises:
        TargetError: If there is no such token.
    """
    with _selection(network.model[-1], keep) as seen:
        _, raw = network(pixels)
    boxes, logits = raw[0][-1], raw[1][-1]
    tokens = seen[0].amax(dim=2).topk(logits.shape[1], dim=1).indices
    height, width = pixels.shape[2:]
    return logits, xywh2xyxy(boxes) * boxes.new_tensor([width, height, width, height]), tokens


@contextmanager
def _selection(head: Any, keep: Tensor | None) -> Iterator[list[Tensor]]:
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

    hook = head.enc_score_head.register_forward_hook(watch)
    try:
        yield seen
    finally:
        hook.remove()
