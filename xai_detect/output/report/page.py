"""The report for people: one HTML page that opens without a network.

A run of a few images is one file that holds everything; where there are many, their pictures lie
beside the page and are loaded when they are seen. Text comes from strangers (file names, class
names), so the template escapes all of it.
"""

import codecs
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xai_detect.output.drawing.contours import SMOOTHING
from xai_detect.output.drawing.panels import heat_colours
from xai_detect.output.drawing.states import level_word
from xai_detect.output.folder.load import Run
from xai_detect.output.report import summary
from xai_detect.output.report.cards import ORDER, cards
from xai_detect.output.report.decided import decided
from xai_detect.output.report.facts import run_facts, status_word
from xai_detect.output.report.outcomes import outcome_words
from xai_detect.output.report.pictures import Album
from xai_detect.values.files import replacing
from xai_detect.values.findings import Answer
from xai_detect.values.truth import Kind
from xai_detect.words.catalogue import Catalogue, spoken

NAME = "report.html"


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder, in the run's language.

    Args:
        run: A run whose pictures have been written.

    Raises:
        InputError: If the disk refuses.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = spoken(run.header.lang)
    album = Album(run.folder, len(run.records))
    pieces = environment.get_template("report.html.j2").generate(
        words=words,
        cards=cards(run, words, album),
        embeds=album.embeds,
        **_of_run(run, words),
    )
    path = run.folder / NAME
    with replacing(path) as stream:
        # A file name may hold bytes that are no text; they become question marks.
        stream.writelines(codecs.iterencode(pieces, "utf-8", "replace"))
    return path


def _of_run(run: Run, words: Catalogue) -> dict[str, Any]:
    """What is said of all images together."""
    header = run.header
    verdicts = [verdict for record in run.records for verdict in record.verdicts]
    spent = summary.passes(run)
    kinds = {
        fate.kind
        for record in run.records
        if record.outcome is not None
        for fate in record.outcome.fates
    }
    return {
        "run": run,
        "model": header.provenance,
        "levels": [
            (level, level_word(level, words), sum(found.level is level for found in verdicts))
            for level in ORDER
        ],
        "status": status_word(run, words),
        "detections": len(verdicts),
        "outcomes": outcome_words(run.records, words),
        "kinds": [kind.value for kind in Kind if kind in kinds],
        "any_missed": any(
            record.outcome is not None and record.outcome.missed for record in run.records
        ),
        "worst": summary.worst(run, words),
        "probabilities": summary.probabilities(run),
        "spent": "" if math.isnan(spent) else words.say("page.spent", passes=spent),
        "classes": summary.by_class(run),
        "answers": list(Answer),
        "decided": decided(run.records),
        "regions": summary.regions(run, words),
        "facts": list(run_facts(run, words)),
        "smoothing": SMOOTHING,
        "ramp": ",".join(f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in heat_colours()[::51]),
        "failed": sorted(run.failed.items()),
    }
