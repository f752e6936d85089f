"""Images with their true boxes in a detector's own labels, for fitting channel statistics."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.data.classes import pair_classes
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.values.images import load_image

UNKNOWN = -1
"""Label of a region that is no example of any class and no background either."""


def labelled_images(
    dataset: Dataset, class_names: tuple[str, ...], each: Callable[[str, str], None]
) -> Iterator[tuple[Float[Tensor, "3 h w"], Float[Tensor, "n 4"], Int[Tensor, "n"]]]:
    """Every readable image with its boxes, labelled as the detector labels them.

    Args:
        dataset: Images with ground truth.
        class_names: The detector's classes; boxes of others, crowds and difficult objects get
            the label -1.
        each: Called with an image's name when it is through, and with what was wrong (else empty)
            with one that could not be read, which is left out.

    Raises:
        InputError: If data set and detector share no class.
    """
    pairs, _ = pair_classes(class_names, dataset.class_names)
    own = {theirs: ours for ours, theirs in pairs.items()}
    for scan in dataset.scans:
        try:
            image = load_image(scan.path)
        except InputError as error:
            each(scan.name, str(error))
            continue
        labels = [
            UNKNOWN if item.label is None or item.crowd or item.difficult
            else own.get(item.label, UNKNOWN)
            for item in scan.items
        ]  # fmt: skip
        boxes = torch.tensor([item.box for item in scan.items]).reshape(-1, 4)
        yield image, boxes, torch.tensor(labels, dtype=torch.int64)
        each(scan.name, "")
