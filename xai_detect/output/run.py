"""Starting a run folder, going on with one, and writing inspections into one at once."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from xai_detect.errors import InputError
from xai_detect.output.folder.header import Header, completed, differences, with_files
from xai_detect.output.folder.load import MANIFEST, Run, load_run
from xai_detect.output.writer import RunWriter
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.values.files import LOCK, PART, FolderLock
from xai_detect.values.findings import Inspection


def open_run(folder: str | Path, header: Header, command: str = "") -> RunWriter:
    """Start a run folder, or go on with one of the same detector, method and settings.

    Args:
        folder: A new or empty folder, or one that this function made before.
        header: What all images will have in common; digests of the files that its settings name
            are taken here.
        command: What the user typed, for the record.

    Raises:
        InputError: If the folder holds another run or other files, is being written by someone
            else, or cannot be written.
    """
    folder = Path(folder)
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
            header = _joined(before, header)
        return RunWriter(lock, folder, header, command, before)
    except BaseException:
        lock.close()
        raise


def _foreign(path: Path) -> bool:
    return path.name != LOCK and not path.name.endswith(PART)


def _joined(before: Run, header: Header) -> Header:
    """The header of a run that goes on.

    Raises:
        InputError: If it was another run.
    """
    header = completed(header, before.header)
    found = differences(completed(before.header, header), header)
    if found:
        raise InputError(
            f"{before.folder} belongs to another run ({'; '.join(found)}); choose another folder"
        )
    return replace(header, category_ids=header.category_ids or before.header.category_ids)


def save(
    inspections: Iterable[Inspection], folder: str | Path, *, policy: Policy = DEFAULT_POLICY
) -> Run:
    """Write inspections into a run folder, with views, tables and report.

    Args:
        inspections: All by the same detector and method, judged by the same policy.
        folder: A new or empty folder, or one with a run of the same detector, method and policy.
        policy: What they were judged by, if not by the default.

    Raises:
        InputError: If there are none, they differ in detector or method, two have the same
            source, a verdict was held against a limit that the policy does not have, or the
            folder belongs to another run.
    """
    known = list(inspections)
    if not known:
        raise InputError("there is nothing to save; pass at least one inspection")
    counts = Counter(inspection.source for inspection in known)
    twice = next((source for source, count in counts.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"two inspections have the source {twice!r}; give each its own")
    for inspection in known:
        _check_limits(inspection, policy)
    explained = next(
        (explanation for inspection in known for explanation in inspection.explanations), None
    )
    header = Header(
        provenance=known[0].provenance,
        class_names=known[0].detections.class_names,
        method=explained.method if explained else "",
        settings=explained.settings if explained else {},
        limits=policy.limits,
        sentences=policy.sentences,
    )
    run = open_run(folder, header, command="xai_detect.save")
    try:
        for inspection in known:
            run.add(inspection)
        return run.finish()
    finally:
        run.close()


def _check_limits(inspection: Inspection, policy: Policy) -> None:
    allowed = set(policy.limits.values())
    for reason in (reason for verdict in inspection.verdicts for reason in verdict.reasons):
        if not math.isnan(reason.limit) and reason.limit not in allowed:
            raise InputError(
                f"{inspection.source} was judged with a limit of {reason.limit:g} for "
                f"{reason.check}, which the policy does not have; pass policy= as it was judged by"
            )
