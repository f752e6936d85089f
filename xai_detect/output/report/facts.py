"""What is needed to run it again, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from xai_detect.output.folder.load import Run
from xai_detect.values.json import plain
from xai_detect.words.catalogue import ENGLISH, Catalogue


def run_facts(run: Run, words: Catalogue = ENGLISH) -> Iterator[tuple[str, str]]:
    """What is needed to run it again: names, and values as they were given."""
    for name, value in _facts(run, words):
        yield words.say(f"fact.{name}"), value


def _facts(run: Run, words: Catalogue) -> Iterator[tuple[str, str]]:
    header, model = run.header, run.header.provenance
    yield (
        "model",
        words.say("fact.model_value", name=model.name, family=model.family, size=model.input_size),
    )
    yield "weights", model.sha256 or words.say("fact.untrained")
    yield "domain", words.known("fact", f"domain_{model.domain}", model.domain)
    if header.budget:
        yield "budget", header.budget
    if header.references:
        yield "references", ", ".join(header.references)
    if header.method:
        yield "method", header.method
        yield "settings", _listed(header.settings, words)
    unknown = math.isnan(header.confidence)
    yield "confidence", words.say("fact.unknown") if unknown else str(header.confidence)
    if header.asked:
        yield "asked", words.say("fact.asked_value", asked=header.asked)
    if header.limits:
        yield "limits", _listed(header.limits, words)
    if header.options:
        yield "options", _listed(header.options, words)
    ended = "" if run.status == "done" else f" ({status_word(run, words)})"
    yield "finished", _moment(run.finished) + ended
    for session in run.sessions[-1:]:
        yield "command", str(session.get("command") or words.say("fact.no_command"))
        yield "versions", _listed(session.get("versions", {}), words)


def status_word(run: Run, words: Catalogue = ENGLISH) -> str:
    """How far a run has come."""
    return words.known("fact", f"status_{run.status}", run.status)


def _listed(values: Any, words: Catalogue) -> str:
    if not isinstance(values, Mapping):
        return str(plain(values))
    parts = []
    for name, value in values.items():
        text = f"({_listed(value, words)})" if isinstance(value, Mapping) else str(value)
        parts.append(f"{name} {text}")
    return ", ".join(parts) or words.say("fact.none")


def _moment(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")
