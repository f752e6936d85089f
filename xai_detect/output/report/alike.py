"""What the page says of the confirmed detections beside a detection."""

from pathlib import PurePath
from typing import Any

from xai_detect.output.folder.records import Record
from xai_detect.output.report.pictures import Album
from xai_detect.words.catalogue import Catalogue


def alike_card(
    record: Record, row: int, data: str, album: Album, words: Catalogue
) -> dict[str, Any] | None:
    """The strip of one detection with its sentence; None where no confirmed one is known."""
    beside = record.alike[row] if record.alike else ()
    if not beside:
        return None
    name = record.detections.target(row).name
    return {
        "sentence": words.say("card.alike", data=_base(data)),
        "picture": album.place(f"pictures/{record.name}.{row}.alike.webp"),
        "alt": words.say("card.alike_alt", **{"class": name}),
        "lines": [
            words.say(
                "card.alike_line",
                file=_base(other.source),
                score=other.score,
                similarity=other.similarity,
            )
            for other in beside
        ],
    }


def _base(path: str) -> str:
    """A file's own name without folders."""
    return PurePath(path.replace("\\", "/")).name or path
