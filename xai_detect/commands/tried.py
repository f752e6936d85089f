"""Other images whose surroundings are tried: those that were named, drawn, or taken before."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from xai_detect.batch.references import drawn, references_of, references_with_truth
from xai_detect.batch.sources import find_sources
from xai_detect.commands.progress import notes
from xai_detect.commands.showcase import images_in, sample_set
from xai_detect.data.read import annotated, read_truth
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.output.folder.header import TRUTH
from xai_detect.output.run import begun_before
from xai_detect.trust.budget import Budget
from xai_detect.trust.references import Reference
from xai_detect.words.catalogue import Catalogue

SAMPLES = {"screening": Path("images") / "val"}
"""Models that ship with images of their kind: where these lie in the sample set."""


class Tried:
    """The images whose surroundings are tried, the same for a whole run.

    Attributes:
        names: What they are called, for the record.
        truth: The data set that says what they hold; empty where the detector says it.
        dataset: Reads that data set, once; None likewise.
    """

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[], Sequence[Reference]],
        truth: str = "",
        dataset: Callable[[], Dataset] | None = None,
    ) -> None:
        self.names = tuple(names)
        self.truth = truth
        self.dataset = dataset
        self._read = read
        self._known: tuple[Reference, ...] | None = None

    def read(self) -> tuple[Reference, ...]:
        """All of them; the files are read when this is first asked for.

        Raises:
            InputError: If a file cannot be read, or too few hold anything.
        """
        if self._known is None:
            self._known = tuple(self._read())
        return self._known

    def beside(self, name: str) -> list[Reference]:
        """All but the image of this name."""
        return [reference for reference in self.read() if reference.name != name]


def tried(
    found: Detector,
    folder: Path | None,
    sources: Sequence[Path],
    spend: Budget,
    out: Path | None,
    words: Catalogue,
) -> Tried:
    """The images whose surroundings are tried; a note says which were drawn.

    A run that goes on takes those that its folder names, unless others are named now.

    Raises:
        InputError: If the named folder is of no use.
    """
    if folder is not None:
        if not spend.references:
            raise InputError(
                f"--references was given, but --budget {spend.name} tries no other surroundings; "
                "leave it out or choose standard or full"
            )
        if annotated(folder):
            truth = str(folder.resolve())
            dataset = _reader(truth)
            for line in dataset().losses.lines:
                notes.print(words.say("told.note", note=line), markup=False, soft_wrap=True)
            known = references_with_truth(found, dataset())
            counted = words.counted("images", len(known))
            notes.print(words.say("told.annotated", drawn=counted, data=folder))
            return Tried([held.name for held in known], lambda: known, truth, dataset)
        named = references_of(found, find_sources([str(folder)]))
        return Tried([reference.name for reference in named], lambda: named)
    if not spend.references:
        return Tried((), tuple)
    before = None if out is None else begun_before(out)
    if before is not None:
        names, truth = before.references, str(before.options.get(TRUTH, ""))
        held = _reader(truth) if truth else None
        return Tried(names, lambda: _read_again(found, names, held), truth, held)
    new = drawn(found, sources)
    if new:
        counted = words.counted("images", len(new))
        notes.print(words.say("told.references", drawn=counted, count=len(sources)))
    elif found.provenance.name in SAMPLES:
        new = drawn(found, images_in(sample_set() / SAMPLES[found.provenance.name]))
        counted = words.counted("images", len(new))
        notes.print(words.say("told.sample", drawn=counted, model=found.provenance.name))
    return Tried([reference.name for reference in new], lambda: new)


def _reader(truth: str) -> Callable[[], Dataset]:
    """Reads a data set when it is first asked for."""
    return cache(lambda: read_truth(truth))


def _read_again(
    found: Detector, names: Sequence[str], dataset: Callable[[], Dataset] | None
) -> list[Reference]:
    """The references of a run that goes on."""
    if not names:
        return []
    try:
        if dataset is not None:
            return references_with_truth(found, dataset(), names)
        return references_of(found, map(Path, names))
    except InputError as error:
        raise InputError(
            f"the run goes on with the references that it began with, but {error}; put them back "
            "or start in another folder"
        ) from error
