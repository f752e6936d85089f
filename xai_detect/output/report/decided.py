"""Which class is decided by what, over the images of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping

from xai_detect.output.folder.records import Record
from xai_detect.values.findings import Answer
from xai_detect.words.catalogue import Catalogue


def decided(records: Iterable[Record]) -> dict[str, Counter[Answer]]:
    """Per class, how many of its detections are decided by what; the most frequent class first."""
    counts: dict[str, Counter[Answer]] = {}
    for record in records:
        for own, verdict in zip(record.detections, record.verdicts, strict=True):
            counts.setdefault(own.name, Counter())[verdict.reason] += 1
    return dict(sorted(counts.items(), key=lambda row: (-row[1].total(), row[0])))


def decided_lines(counts: Mapping[str, Counter[Answer]], words: Catalogue) -> list[str]:
    """A line per class: by what, and how often."""
    lines = []
    for name, answers in counts.items():
        told = (
            words.say("told.answer", answer=words.say(f"answer.{answer.value}"), count=count)
            for answer, count in answers.most_common()
        )
        lines.append(words.say("told.decided", name=name, answers=", ".join(told)))
    return lines
