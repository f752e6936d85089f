"""What the command line prints on stdout: lines for people, one JSON object for machines."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xai_detect.evaluation.figures import Evaluation
from xai_detect.inspection.comparison import REMOVALS, Comparison
from xai_detect.output.drawing.states import STATES, level_word
from xai_detect.output.folder.alike import alike_to_json
from xai_detect.output.folder.judged import asked_to_json, evidence_to_json, judged_to_json
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.outcomes import (
    fate_to_json,
    lookalikes_to_json,
    missed_to_json,
    parts_to_json,
)
from xai_detect.output.folder.records import Record
from xai_detect.output.report.decided import decided, decided_lines
from xai_detect.output.report.items import item_sentence, shared_items
from xai_detect.output.report.outcomes import (
    fate_sentence,
    missed_words,
    outcome_words,
    parts_of,
)
from xai_detect.values.findings import Level
from xai_detect.values.json import Json, plain
from xai_detect.words.catalogue import ENGLISH, Catalogue, spoken

SELDOM = 0.1
"""So few confirmed detections have as little on the parts that are usual: then it is said."""


def run_lines(run: Run, shown: Sequence[Record], name: Callable[[str], str] = str) -> str:
    """One line per detection, sentence included, then the counts and where the report is.

    Args:
        run: The run; its language is that of the lines.
        shown: Those of its images that were asked for.
        name: How a source is printed.
    """
    words = spoken(run.header.lang)
    lines = [line for record in shown for line in _record_lines(record, name, words)]
    levels = [verdict.level for record in shown for verdict in record.verdicts]
    counts = ", ".join(
        words.say("told.level", count=levels.count(level), level=level_word(level, words))
        for level in Level
    )
    lines.append(
        words.say(
            "told.total_levels" if levels else "told.total",
            detections=words.counted("detections", len(levels)),
            images=words.counted("images", len(shown)),
            levels=counts,
        )
    )
    if len(shown) > 1:
        lines += [f"  {line}" for line in decided_lines(decided(shown), words)]
    if outcomes := outcome_words(shown, words):
        lines.append(words.say("told.against", outcomes=outcomes))
    lines.append(words.say("told.report", path=run.folder / "report.html"))
    return "\n".join(lines)


def _record_lines(record: Record, name: Callable[[str], str], words: Catalogue) -> Iterator[str]:
    """One image: its detections, the items that several of them lie on, and what was missed."""
    found = words.counted("detections", len(record.detections))
    yield words.say("told.image", source=name(record.source), detections=found)
    for row, (own, verdict, asked) in enumerate(
        zip(record.detections, record.verdicts, record.asked, strict=True)
    ):
        said = words.say(
            "told.detection",
            mark=STATES[verdict.level].mark,
            level=level_word(verdict.level, words),
            name=own.name,
            score=own.score,
            sentence=verdict.sentence,
        )
        yield f"  {said}{_outcome(record, row, words)}"
        if record.lookalikes and (other := record.lookalikes[row]) is not None:
            yield f"    {other.sentence}"
        if (parts := parts_of(record, row)) is not None and parts.lower <= SELDOM:
            yield f"    {parts.sentence}"
        if asked is not None:
            yield f"    {words.say('told.asked', asked=asked.name, sentence=asked.sentence)}"
    for group in shared_items(record.detections):
        yield f"  - {item_sentence(record.detections, group, words)}"
    if record.outcome is not None:
        for item in record.outcome.missed:
            missed = missed_words(item, record.outcome, record.detections, words)
            yield f"  - {words.say('told.missed', name=missed)}"


def _outcome(record: Record, row: int, words: Catalogue) -> str:
    if record.outcome is None or record.outcome.right[row] is not False:
        return ""
    return f" {fate_sentence(record.outcome.fates[row], words)}"


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
            "outcome": _outcome_json(record, row, spoken(run.header.lang)),
            "lookalike": lookalikes_to_json(record.lookalikes)[row] if record.lookalikes else None,
            "parts": parts_to_json(record.parts)[row] if record.parts else None,
            "alike": alike_to_json(record.alike)[row] if record.alike else [],
        }
        for record in shown
        for row, found in enumerate(record.detections)
    ]
    content = {
        "run": str(run.folder),
        "report": str(run.folder / "report.html"),
        "images": len(shown),
        "decided_by": {
            label: {answer.value: count for answer, count in counts.items()}
            for label, counts in decided(shown).items()
        },
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


def _outcome_json(record: Record, row: int, words: Catalogue) -> dict[str, Json] | None:
    if record.outcome is None:
        return None
    fate = record.outcome.fates[row]
    return {**fate_to_json(fate), "sentence": fate_sentence(fate, words)}


def evaluation_lines(result: Evaluation, words: Catalogue = ENGLISH) -> str:
    """The figures of an evaluation, one per line; NaN means no answer.

    Of clean images alone, figures that need an object are left out.
    """
    values = result.as_dict()
    if result.n_clean == result.n_images:
        needless = {"per_class", "kinds", "missed"}
        values = {
            name: value for name, value in values.items()
            if value is not None and name not in needless
        }  # fmt: skip
    return "\n".join(_lines(values, "figure", words))


_TABLES = {"per_class": "", "confidence_by_class": "", "kinds": "fate", "levels": "level"}
"""Where the words for a figure's own rows stand; those of classes are names and stay."""


def _lines(values: Mapping[str, Any], table: str, words: Catalogue, indent: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        name = words.known(table, key)
        if isinstance(value, Mapping) and value:
            # rows of a class, or of a level, hold figures again
            rows = _TABLES.get(key, "figure") if table == "figure" else "figure"
            lines += [f"{indent}{name}:", *_lines(value, rows, words, indent + "  ")]
        elif isinstance(value, float):
            lines.append(f"{indent}{name}: {value:.4f}")
        elif not isinstance(value, list | tuple) or len(value) <= 3:
            lines.append(f"{indent}{name}: {words.say('figure.none') if value is None else value}")
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
                "contrast": panel.explanation.target.rival_name,
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


def comparison_lines(result: Comparison, out: Path | None, words: Catalogue = ENGLISH) -> str:
    """A paragraph per question: its scores, then a line per map."""
    lines = []
    for row in result.rows:
        target, values = row[0].explanation.target, row[0].values
        name, rival = target.name, target.rival_name
        if rival is not None:
            name = words.say("comparison.class_not", **{"class": name, "rival": rival})
        background, foreground = (values[removed] for removed in REMOVALS)
        lines.append(
            words.say(
                "comparison.score_line"
                if math.isnan(values["foreground_area"])
                else "comparison.removed_line",
                name=name,
                score=values["score"],
                background=background,
                foreground=foreground,
                fill=result.fill,
            )
        )
        width = max(len(panel.variant) for panel in row)
        for panel in row:
            share, area = panel.values["foreground_share"], panel.values["foreground_area"]
            held = "held_none_line" if math.isnan(share) else "held_line"
            said = words.say(
                f"comparison.{'sum_line' if math.isnan(area) else held}",
                variant=f"{panel.variant:{width}s}",
                sum=panel.values["sum"],
                share=share,
                area=area,
            )
            lines.append(f"  {said}")
    if out is not None:
        lines.append(words.say("comparison.figure", path=out))
    return "\n".join(lines)


def as_json(content: Any) -> str:
    """The content as JSON; NaN becomes null and an infinite number text, as in run folders."""
    return json.dumps(plain(content), indent=1, ensure_ascii=False)
