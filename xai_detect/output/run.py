"""Starting a run folder, going on with one, and writing inspections into one at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from xai_detect.errors import InputError
from xai_detect.output.folder.header import Header, completed, differences, with_files
from xai_detect.output.folder.load import MANIFEST, Run, load_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.values.files import LOCK, PART, FolderLock
from xai_detect.values.findings import Inspection


def open_run(
    folder: str | Path, header: Header, command: str = "", *, copy_images: bool = False
) -> RunWriter:
    """Start a run folder, or go on with one of the same detector, method and settings.

    Args:
        folder: A new or empty folder, or one that this function made before.
        header: What all images will have in common; digests of the files that its settings name
            are taken here.
        command: What the user typed, for the record.
        copy_images: Whether the pixels of what is added are kept where they lie in a file too.

    Raises:
        InputError: If the folder holds another run or other files, is being written by someone
            else, or cannot be written.
    """
    return _open(Path(folder), header, command, bare=False, copy_images=copy_images)


def _open(
    folder: Path, header: Header, command: str, *, bare: bool, copy_images: bool = False
) -> RunWriter:
    """Open a run; a ``bare`` header is that of images without detections, see ``completed``."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the run needs a folder")
    if (
        folder.exists()
        and not (folder / MANIFEST).exists()
        and any(map(_foreign, folder.iterdir()))
    ):
        raise InputError(f"{folder} is not empty and holds no run; choose a new or empty folder")
    lock = FolderLock(folder)
    try:
        before = load_run(folder) if (folder / MANIFEST).exists() else None
        header = with_files(header)
        if before is not None:
            header = _joined(before, header, bare)
        return RunWriter(lock, folder, header, command, before, copy_images)
    except BaseException:
        lock.close()
        raise


def begun_before(folder: Path) -> Header | None:
    """The header of the run that a folder holds already; None if nothing was judged there."""
    if not (folder / MANIFEST).exists():
        return None
    before = load_run(folder)
    return None if _bare(before) else before.header


def _foreign(path: Path) -> bool:
    return path.name != LOCK and not path.name.endswith(PART)


def _joined(before: Run, header: Header, bare: bool) -> Header:
    """The header of a run that goes on.

    Raises:
        InputError: If it was another run.
    """
    if bare:
        header = completed(header, before.header)
    was = completed(before.header, header) if _bare(before) else before.header
    found = differences(was, header)
    if found:
        raise InputError(
            f"{before.folder} belongs to another run ({'; '.join(found)}); choose another folder"
        )
    return replace(header, category_ids=header.category_ids or before.header.category_ids)


def _bare(run: Run) -> bool:
    known = run.header.method or run.header.budget or run.header.asked
    return not known and not any(len(record.detections) for record in run.records)


def save(
    inspections: Iterable[Inspection],
    folder: str | Path,
    *,
    policy: Policy = DEFAULT_POLICY,
    references: Sequence[str] = (),
    lang: str = "en",
) -> Run:
    """Write inspections into a run folder, with pictures, tables and report.

    Args:
        inspections: All by the same detector, method and budget, judged by the same policy.
        folder: A new or empty folder, or one with a run of the same detector, method and policy.
        policy: What they were judged by, if not by the default.
        references: Names of the other images that were asked about.
        lang: The language of the sentences, as HTML names it.

    Raises:
        InputError: If there are none, they differ in detector, method or budget, two have the same
            source, or the folder belongs to another run.
    """
    known = list(inspections)
    if not known:
        raise InputError("there is nothing to save; pass at least one inspection")
    counts = Counter(inspection.source for inspection in known)
    twice = next((source for source, count in counts.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"two inspections have the source {twice!r}; give each its own")
    added = next((made for found in known for made in found.added if made is not None), None)
    asked = next((name.name for found in known for name in found.asked if name is not None), None)
    budgets = (numbers.words["budget"] for found in known for numbers in found.evidence
               if "budget" in numbers.words)  # fmt: skip
    header = Header(
        provenance=known[0].provenance,
        class_names=known[0].detections.class_names,
        method="" if added is None else added.method,
        settings={} if added is None else added.settings,
        asked=asked,
        limits=policy.limits,
        budget=next(budgets, ""),
        references=tuple(references),
        lang=lang,
    )
    bare = not any(len(found.detections) for found in known)
    run = _open(Path(folder), header, "xai_detect.save", bare=bare)
    try:
        for inspection in known:
            run.add(inspection)
        return run.finish()
    finally:
        run.close()
