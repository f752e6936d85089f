"""What the command line prints on stdout: lines for people, one JSON object for machines."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xai_detect.evaluation.figures import Evaluation
from xai_detect.output.drawing.states import STATES
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.records import Record
from xai_detect.output.report.wording import outcome_words
from xai_detect.values.findings import Level
from xai_detect.values.json import plain


def run_lines(run: Run, shown: Sequence[Record], name: Callable[[str], str] = str) -> str:
    """One line per detection, sentence included, then the counts and where the report is.

    Args:
        run: The run.
        shown: Those of its images that were asked for.
        name: How a source is printed.
    """
    lines = []
    for one in shown:
        count = len(one.detections)
        lines.append(f"{name(one.source)}: {_counted(count, 'detection')}")
        for row, (target, verdict) in enumerate(zip(one.targets, one.verdicts, strict=True)):
            found = one.detections.target(row)
            asked = "" if found.label == target.label else f" (reported as {found.name})"
            lines.append(
                f"  {STATES[verdict.level].mark} {verdict.level} {target.name}{asked} "
                f"{found.score:.2f}: {verdict.sentence}{_outcome(one, row)}"
            )
        if one.outcome is not None:
            lines += [f"  - missed: {name}" for name, _ in one.outcome.missed]
    levels = [verdict.level for one in shown for verdict in one.verdicts]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in Level)
    total = f"{_counted(len(levels), 'detection')} in {_counted(len(shown), 'image')}"
    lines.append(f"{total}: {counts}" if levels else total)
    if outcomes := outcome_words(shown):
        lines.append(f"against the annotations: {outcomes}")
    lines.append(f"report: {run.folder / 'report.html'}")
    return "\n".join(lines)


def _outcome(record: Record, row: int) -> str:
    known = record.outcome is not None and record.outcome.right[row] is False
    return f" The annotations have no {record.detections.target(row).name} here." if known else ""


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' if count != 1 else ''}"


def run_json(run: Run, shown: Sequence[Record], failed: Mapping[str, str]) -> str:
    """The run as one JSON object."""
    rows = [
        {
            "source": one.source,
            "class": target.name,
            "box": list(target.box),
            "score": float(one.detections.scores[row]),
            "verdict": str(verdict.level),
            "reasons": [reason.sentence for reason in verdict.reasons],
            "evidence": dict(evidence),
            "right": None if one.outcome is None else one.outcome.right[row],
        }
        for one in shown
        for row, (target, verdict, evidence) in enumerate(
            zip(one.targets, one.verdicts, one.evidence, strict=True)
        )
    ]
    content = {
        "run": str(run.folder),
        "report": str(run.folder / "report.html"),
        "images": len(shown),
        "detections": rows,
        "missed": [
            {"source": one.source, "class": name, "box": list(box)}
            for one in shown
            if one.outcome is not None
            for name, box in one.outcome.missed
        ],
        "failed": dict(failed),
    }
    return as_json(content)


def evaluation_lines(result: Evaluation) -> str:
    """The figures of an evaluation, one per line; NaN means no answer."""
    values = result.as_dict()
    return "\n".join(_lines(values, ""))


def _lines(values: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, float):
            lines.append(f"{indent}{key}: {value:.4f}")
        elif not isinstance(value, list | tuple) or len(value) <= 3:
            lines.append(f"{indent}{key}: {value}")
    return lines


def as_json(content: Any) -> str:
    """The content as JSON; NaN becomes null and an infinite number text, as in run folders."""
    return json.dumps(plain(content), indent=1, ensure_ascii=False)
