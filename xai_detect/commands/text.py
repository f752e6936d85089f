"""What the command line prints on stdout: lines for people, one JSON object for machines."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xai_detect.evaluation.figures import Evaluation
from xai_detect.inspection.comparison import REMOVALS, Comparison
from xai_detect.output.drawing.states import STATES
from xai_detect.output.folder.judged import asked_to_json, evidence_to_json, judged_to_json
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.outcomes import fate_to_json, missed_to_json
from xai_detect.output.folder.records import Record
from xai_detect.output.report.outcomes import fate_sentence, missed_words, outcome_words
from xai_detect.values.findings import Level
from xai_detect.values.json import Json, plain


def run_lines(run: Run, shown: Sequence[Record], name: Callable[[str], str] = str) -> str:
    """One line per detection, sentence included, then the counts and where the report is.

    Args:
        run: The run.
        shown: Those of its images that were asked for.
        name: How a source is printed.
    """
    lines = []
    for record in shown:
        count = len(record.detections)
        lines.append(f"{name(record.source)}: {_counted(count, 'detection')}")
        for row, (found, verdict, asked) in enumerate(
            zip(record.detections, record.verdicts, record.asked, strict=True)
        ):
            lines.append(
                f"  {STATES[verdict.level].mark} {verdict.level} {found.name} "
                f"{found.score:.2f}: {verdict.sentence}{_outcome(record, row)}"
            )
            if asked is not None:
                lines.append(f"    asked about {asked.name}: {asked.sentence}")
        if record.outcome is not None:
            lines += [
                f"  - missed: {missed_words(item, record.outcome, record.detections)}"
                for item in record.outcome.missed
            ]
    levels = [verdict.level for record in shown for verdict in record.verdicts]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in Level)
    total = f"{_counted(len(levels), 'detection')} in {_counted(len(shown), 'image')}"
    lines.append(f"{total}: {counts}" if levels else total)
    if outcomes := outcome_words(shown):
        lines.append(f"against the annotations: {outcomes}")
    lines.append(f"report: {run.folder / 'report.html'}")
    return "\n".join(lines)


def _outcome(record: Record, row: int) -> str:
    if record.outcome is None or record.outcome.right[row] is not False:
        return ""
    return f" {fate_sentence(record.outcome.fates[row])}"


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' if count != 1 else ''}"


def run_json(run: Run, shown: Sequence[Record], failed: Mapping[str, str]) -> str:
    """The run as one JSON object."""
    rows = [
        {
            "source": record.source,
            "class": found.name,
            "box": list(found.box),
            "score": found.score,
            **judged_to_json(record.verdicts[row], record.evidence[row]),
            **evidence_to_json(record.evidence[row]),
            "asked": asked_to_json(record.asked[row]),
            "right": None if record.outcome is None else record.outcome.right[row],
            "outcome": _outcome_json(record, row),
        }
        for record in shown
        for row, found in enumerate(record.detections)
    ]
    content = {
        "run": str(run.folder),
        "report": str(run.folder / "report.html"),
        "images": len(shown),
        "detections": rows,
        "missed": [
            {"source": record.source, **missed_to_json(item)}
            for record in shown
            if record.outcome is not None
            for item in record.outcome.missed
        ],
        "failed": dict(failed),
    }
    return as_json(content)


def _outcome_json(record: Record, row: int) -> dict[str, Json] | None:
    if record.outcome is None:
        return None
    fate = record.outcome.fates[row]
    return {**fate_to_json(fate), "sentence": fate_sentence(fate)}


def evaluation_lines(result: Evaluation) -> str:
    """The figures of an evaluation, one per line; NaN means no answer."""
    values = result.as_dict()
    return "\n".join(_lines(values, ""))


def _lines(values: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, float):
            lines.append(f"{indent}{key}: {value:.4f}")
        elif not isinstance(value, list | tuple) or len(value) <= 3:
            lines.append(f"{indent}{key}: {value}")
    return lines


def comparison_json(result: Comparison, image: Path, model: str, out: Path | None) -> str:
    """A comparison as one JSON object."""
    content = {
        "image": str(image),
        "model": model,
        "fill": result.fill,
        "figure": None if out is None else str(out),
        "maps": [
            {
                "class": panel.explanation.target.name,
                "box": list(panel.explanation.target.box),
                "variant": panel.variant,
                "method": panel.explanation.method,
                "settings": dict(panel.explanation.settings),
                **panel.values,
                "measured": dict(panel.explanation.measured),
            }
            for row in result.rows
            for panel in row
        ],
    }
    return as_json(content)


def comparison_lines(result: Comparison, out: Path | None) -> str:
    """A paragraph per question: its scores, then a line per map."""
    lines = []
    for row in result.rows:
        target, values = row[0].explanation.target, row[0].values
        lines.append(f"{target.name}: score {values['score']:.3f}")
        if not math.isnan(values["foreground_area"]):
            without = [
                f"without the {name.partition('_')[2]} {values[name]:.3f}" for name in REMOVALS
            ]
            lines[-1] += f", {', '.join(without)} (fill: {result.fill})"
        width = max(len(panel.variant) for panel in row)
        for panel in row:
            share, area = panel.values["foreground_share"], panel.values["foreground_area"]
            words = f"  {panel.variant:{width}s}  sum {panel.values['sum']:+.3f}"
            if not math.isnan(area):
                held = "none" if math.isnan(share) else f"{100 * share:.0f} %"
                words += (
                    f", positive evidence on the foreground: {held} (chance {100 * area:.0f} %)"
                )
            lines.append(words)
    if out is not None:
        lines.append(f"figure: {out}")
    return "\n".join(lines)


def as_json(content: Any) -> str:
    """The content as JSON; NaN becomes null and an infinite number text, as in run folders."""
    return json.dumps(plain(content), indent=1, ensure_ascii=False)
