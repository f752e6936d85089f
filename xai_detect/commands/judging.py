"""From options to verdicts: what they rest on, who gives them, and what a run says about that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from xai_detect.batch.header import header_of
from xai_detect.batch.many import expected_seconds, remembered
from xai_detect.batch.references import looked_at
from xai_detect.commands import options, prepare, progress, questions
from xai_detect.commands.tried import Tried, tried
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import InputError
from xai_detect.evaluation import outcomes
from xai_detect.evaluation.alike import Gallery
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.explainers.explain import require
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.header import TRUTH, Header
from xai_detect.output.run import open_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.budget import Budget, budget_named
from xai_detect.trust.policy import DEFAULT_POLICY, Policy, read_policy
from xai_detect.trust.probability import read_probabilities
from xai_detect.trust.weigh import Second
from xai_detect.values.detections import Detections, label_of
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed
from xai_detect.words.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Terms:
    """What verdicts rest on, whatever the detector.

    Attributes:
        budget: What may be spent.
        policy: The limits.
        words: Those of the language of the sentences.
        method: The method whose map is added; None without one.
    """

    budget: Budget
    policy: Policy
    words: Catalogue
    method: Method[Any] | None


def terms(
    budget: str,
    policy: Path | None,
    lang: str | None,
    method: str | None = None,
    setting: Sequence[str] | None = None,
    prevalence: float | None = None,
) -> Terms:
    """What the options ask verdicts to rest on.

    Raises:
        InputError: If there is no such budget, policy, language, method or setting, there are
            settings without a method, or the probability's data do not allow for a prevalence.
    """
    _refuse_prevalence(prevalence)
    if setting and method is None:
        raise InputError("--setting belongs to --method, which was not given; name a method")
    return Terms(
        budget_named(budget),
        DEFAULT_POLICY if policy is None else read_policy(policy),
        progress.chosen_words(lang),
        None if method is None else build_method(method, **options.settings(setting)),
    )


def _refuse_prevalence(share: float | None) -> None:
    """Refuse to correct for a share of threats where the data cannot tell."""
    table = read_probabilities()
    if share is not None and not table.clean_images:
        raise InputError(
            f"--prevalence {share:g} cannot be used: the probability was fitted on {table.data}, "
            "which hold no image without an object, so they do not say how often an alarm is false "
            "there; leave it out"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Gives verdicts on detections, all on the same terms; an ``Inspector``.

    Attributes:
        detector: What found them.
        terms: What verdicts rest on.
        tried: The images whose surroundings are tried.
        as_class: The class that every box is asked about as well.
        second: The other detector that is asked.
        foreground: What is known to be the object, over image pixels; None takes box and ring.
        paths: File by name, for images that are not called like their files.
        gallery: Confirmed detections to hold each one against; None where none are known.
    """

    detector: Detector
    terms: Terms
    tried: Tried
    as_class: str | None = None
    second: Second | None = None
    foreground: Bool[Tensor, "h w"] | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    gallery: Gallery | None = None

    def __call__(
        self, image: Placed, name: str, detections: Detections, whole: Named | None
    ) -> Inspection:
        """Judge what was found in an image."""
        file = self.paths.get(name, name)
        found = inspect(
            self.detector, image, budget=self.terms.budget.name,
            references=self.tried.beside(file), method=self.terms.method,
            as_class=self.as_class, policy=self.terms.policy, second=self.second,
            foreground=self.foreground,
            language=self.terms.words.language, detections=detections, whole=whole, source=name,
        )  # fmt: skip
        if self.gallery is None:
            return found
        return replace(found, alike=self.gallery.beside(image, file, detections))

    def header(
        self,
        confidence: float,
        iou: float,
        given: Mapping[str, object],
        known: GroundTruth | None = None,
    ) -> Header:
        """What all images of this run will have in common.

        Args:
            confidence: Operating threshold.
            iou: Overlap above which boxes were suppressed.
            given: Further options by name, None for those that were not given; paths are resolved.
            known: The annotations, which give classes their ids.
        """
        further = {
            name: str(value.resolve()) if isinstance(value, Path) else value
            for name, value in given.items()
            if value is not None and (name, value) != ("engine", "eager")
        }
        if self.tried.truth:
            further[TRUTH] = self.tried.truth
        return header_of(
            self.detector, confidence, budget=self.terms.budget.name, policy=self.terms.policy,
            method=self.terms.method, references=self.tried.names, as_class=self.as_class,
            second=self.second, language=self.terms.words.language, options={"iou": iou, **further},
            category_ids=() if known is None else known.category_ids,
        )  # fmt: skip


def judge(
    found: Detector,
    agreed: Terms,
    sources: Sequence[Path],
    *,
    references: Path | None,
    other: str | None,
    device: str,
    out: Path | None,
    as_class: str | None = None,
    foreground: Path | None = None,
    paths: Mapping[str, str] | None = None,
) -> Judge:
    """Who gives the verdicts that the options ask for.

    Args:
        found: The detector.
        agreed: What verdicts rest on.
        sources: The images of the run.
        references: Folder of images, or a data set, whose surroundings are tried.
        other: Another detector to ask.
        device: Where that runs.
        out: The run folder, if there is one.
        as_class: The class that every box is asked about as well.
        foreground: Mask image of what is known to be the object.
        paths: See ``Judge``.

    Raises:
        InputError: If the options do not go together; before the first image.
    """
    if agreed.method is not None:
        require(agreed.method, found)
    if as_class is not None:
        label_of(as_class, found.class_names)
    asked = prepare.second(found, other, device)
    others = tried(found, references, sources, agreed.budget, out, agreed.words)
    if foreground is not None and len(sources) != 1:
        raise InputError(
            f"--foreground marks the object of one image, but {len(sources)} were given; inspect "
            "them one by one, each with its own mask"
        )
    return Judge(
        found, agreed, others, as_class, asked, questions.marked(foreground), paths or {},
        _gallery(found, others, agreed.policy),
    )  # fmt: skip


def _gallery(found: Detector, others: Tried, policy: Policy) -> Gallery | None:
    """The confirmed detections of the data set that says what references hold, if one does."""
    read = others.dataset
    return None if read is None else Gallery(found, lambda: looked_at(read()), policy.limits)


def begun(out: Path, header: Header, copy_images: bool) -> RunWriter:
    """A run folder, new or gone on with."""
    return open_run(out, header, command=prepare.command(), copy_images=copy_images)


def judged_data(
    agreed: Terms,
    found: Detector,
    dataset: Dataset,
    *,
    references: Path | None,
    other: str | None,
    device: str,
    out: Path | None,
    confidence: float,
    iou: float,
    given: Mapping[str, object],
    copy_images: bool = False,
) -> tuple[RunWriter | None, Inspector]:
    """Who judges the images of a data set, and the run folder that keeps the verdicts if one does.

    Args:
        agreed: What verdicts rest on.
        found: The detector.
        dataset: The images.
        references: Folder of images, or a data set, whose surroundings are tried.
        other: Another detector to ask.
        device: Where that runs.
        out: The run folder, if one is wanted.
        confidence: Operating threshold.
        iou: Overlap above which boxes were suppressed.
        given: Further options for the header.
        copy_images: Whether the folder keeps the images as well.
    """
    files = {scan.name: _absolute(scan.path) for scan in dataset.scans}
    by_name = {name: str(path) for name, path in files.items()}
    giving = judge(
        found, agreed, list(files.values()), references=references, other=other, device=device,
        out=out, paths=by_name,
    )  # fmt: skip
    run: RunWriter | None = None
    inspector: Inspector = giving
    done: frozenset[str] = frozenset()
    if out is not None:
        ids = outcomes.category_ids(dataset, found.class_names)
        header = replace(giving.header(confidence, iou, given), category_ids=ids)
        run = open_run(out, header, prepare.command(), copy_images=copy_images)
        done = run.done
        inspector = remembered(run, giving, dataset)
    tell_work(giving, [path for name, path in files.items() if name not in done], confidence)
    return run, inspector


def _absolute(path: Path) -> Path:
    """As ``find_sources`` writes it."""
    return path.parent.resolve() / path.name


def tell_work(
    giving: Judge,
    left: Sequence[Path],
    confidence: float,
    done: int = 0,
    folder: Path | None = None,
) -> None:
    """Say what a run folder holds already, and how long the rest will take.

    Raises:
        InputError: If there is a rest and its references cannot be read: told once, before the
            first image, and not at each.
    """
    if left:
        giving.tried.read()
    words = giving.terms.words
    progress.tell_done(done, done + len(left), folder, words)
    seconds = expected_seconds(giving.detector, giving.terms.budget, left, confidence)
    progress.tell_cost(seconds, len(left), words)
