"""Many images inspected in Python, each when it is asked for."""

import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from torch import Tensor

from xai_detect.batch.each import Found, inspect_each
from xai_detect.batch.given import Item, Items
from xai_detect.batch.header import header_of
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.explainers.explain import require
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.ahead import BATCH, check_together
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.load import read_inspection
from xai_detect.output.run import open_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.budget import budget_named
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.references import Reference
from xai_detect.trust.weigh import Second
from xai_detect.values.detections import Detections, label_of
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed
from xai_detect.values.images import check_order
from xai_detect.words.catalogue import catalogue

Images = str | Path | int | np.ndarray | Tensor | PillowImage.Image | Iterable[object]


def inspect_many(
    detector: Detector,
    images: Images,
    *,
    out: str | Path | None = None,
    budget: str = "standard",
    references: Sequence[Reference] = (),
    method: str | Method[Any] | None = None,
    confidence: float = 0.25,
    as_class: str | None = None,
    policy: Policy = DEFAULT_POLICY,
    second: Second | None = None,
    language: str = "en",
    order: str = "rgb",
    every: float | None = None,
    batch: int = BATCH,
    progress: Callable[[int, int | None], None] | None = None,
    errors: Callable[[str, XaiDetectError], None] | None = None,
) -> "Stream":
    """Inspect many images in order, RGB where they are arrays, each when it is asked for.

    Args:
        detector: See ``load_detector``.
        images: Files, folders, globs, ``.txt`` lists; arrays, tensors and PIL images as
            ``load_image`` takes them, batches of them too; a torch ``DataLoader``; video files; the
            number of a camera; or any iterable of these. A tuple of two inside an iterable is an
            image, or a batch, and its target, which is left out.
        out: A run folder that keeps the results; what it holds already is read and not judged anew.
        budget: As for ``inspect``, and likewise the next six.
        references: The image of the same name is left out.
        method: A method whose map is added.
        confidence: Detections at or below it are dropped.
        as_class: Also asked about in every box.
        policy: Limits of the verdict.
        second: Another detector to ask.
        language: Of the sentences: ``en`` or ``ko``.
        order: Of the colours in arrays and tensors: ``rgb``, or ``bgr`` as OpenCV gives them.
            Videos are read in the right order as they are.
        every: Seconds between the frames that are taken of a video or camera; None takes all.
        batch: Images that are read before they are looked at together. One at a time for a camera.
        progress: Called after each image with the number done and that of all, None if unknown.
        errors: Called with the name and the error of each image that cannot be inspected.

    Returns:
        An iterator; its ``failed`` names the images that were passed over.

    Raises:
        InputError: If an option is wrong, a path names nothing, or ``out`` holds something else.
    """
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")
    if every is not None and not 0 < every < math.inf:
        raise InputError(f"every is {every} seconds; expected more than 0, or None for all frames")
    check_together(batch)
    check_order(order)
    spend, added = budget_named(budget), build_method(method) if isinstance(method, str) else method
    if added is not None:
        require(added, detector)
    if as_class is not None:
        label_of(as_class, detector.class_names)
    catalogue(language)
    items = Items(images, every, order)

    def judge(image: Placed, name: str, found: Detections, whole: Named | None) -> Inspection:
        others = [other for other in references if name not in (other.name, _absolute(other.name))]
        return inspect(
            detector, image, budget=spend.name, references=others, method=added, policy=policy,
            as_class=as_class, second=second, language=language, source=name, detections=found,
            whole=whole,
        )  # fmt: skip

    run = None
    if out is not None:
        header = header_of(
            detector, confidence, budget=spend.name, policy=policy, method=added,
            references=[other.name for other in references], as_class=as_class, second=second,
            language=language,
        )  # fmt: skip
        run = open_run(out, header, command="xai_detect.inspect_many")
    together = 1 if isinstance(images, int) else batch
    return Stream(detector, items, judge, run, confidence, together, progress, errors)


class Stream(Iterator[Inspection]):
    """The inspections of many images; iterate once, in one thread.

    Attributes:
        failed: Why each image that was passed over could not be inspected, by its name.
    """

    def __init__(
        self,
        detector: Detector,
        items: Items,
        judge: Inspector,
        run: RunWriter | None,
        confidence: float,
        batch: int,
        progress: Callable[[int, int | None], None] | None,
        errors: Callable[[str, XaiDetectError], None] | None,
    ) -> None:
        """Use ``inspect_many``."""
        self.failed: dict[str, str] = {}
        self._run, self._progress, self._errors = run, progress, errors
        self._told = errors is not None or run is not None
        held = None if run is None or items.paths is None else run.recognise(items.paths)
        found = inspect_each(detector, items, judge, confidence, run, held=held, batch=batch)
        self._inspections = self._through(found, items.total)

    def __next__(self) -> Inspection:
        try:
            return next(self._inspections)
        except StopIteration:
            if self.failed and not self._told:
                self._told = True
                name, reason = next(iter(self.failed.items()))
                warnings.warn(
                    f"{len(self.failed)} images could not be inspected, the first of them {name}: "
                    f"{reason} (see failed, or pass errors=)",
                    stacklevel=2,
                )
            raise

    def close(self) -> None:
        """Stop; a run folder is finished as interrupted, and the next start goes on there."""
        self._inspections.close()
        if self._run is not None:
            self._run.close()

    def _through(
        self, found: Iterator[tuple[Item, Found]], total: int | None
    ) -> Generator[Inspection, None, None]:
        run = self._run
        try:
            for done, (item, became) in enumerate(found, start=1):
                if isinstance(became, XaiDetectError):
                    self.failed[item.name] = str(became)
                    if self._errors is not None:
                        self._errors(item.name, became)
                if self._progress is not None:
                    self._progress(done, total)
                if isinstance(became, Inspection):
                    yield became
                elif not isinstance(became, XaiDetectError) and run is not None:
                    yield read_inspection(run.folder, run.header.provenance, became)
        except BaseException:
            if run is not None:
                with suppress(XaiDetectError):  # what ended it is what should be told
                    run.finish("interrupted")
                run.close()
            raise
        if run is not None:
            run.finish()


def _absolute(name: str) -> str:
    """A reference's name as ``find_sources`` would write it."""
    path = Path(name)
    return str(path.parent.resolve() / path.name)
