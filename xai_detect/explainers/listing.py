"""What there is to choose from: every method, what it asks for and what it costs."""

from typing import NamedTuple

from xai_detect.explainers.methods import METHODS
from xai_detect.values.showing import Shown


class Listed(NamedTuple):
    """One method with its default hyper-parameters.

    Attributes:
        name: In ``METHODS``.
        needs: What it asks of a detector; ``scores`` and ``nothing`` suit black boxes.
        input_level: Whether its map can show evidence anywhere in the input.
        forward_passes: For one detection, about.
        backward_passes: For one detection, about.
        summary: What it is, in a sentence.
        citation: Authors, title, venue and year.
    """

    name: str
    needs: str
    input_level: bool
    forward_passes: float
    backward_passes: float
    summary: str
    citation: str


class Listing(list[Listed], Shown):
    """Methods that print as a table."""

    def __repr__(self) -> str:
        return table(self)


def methods() -> Listing:
    """All methods, in the order of ``METHODS``: what each needs and costs, and who wrote it."""
    rows = Listing()
    for name, method in METHODS.items():
        forward, backward = method().expected_passes(1)
        summary = (method.__doc__ or "").strip().splitlines()[0]
        needs, level = str(method.needs), method.input_level
        rows.append(Listed(name, needs, level, forward, backward, summary, method.citation))
    return rows


def table(rows: list[Listed]) -> str:
    """The rows as text in columns, under a line that names them."""
    cells = [("method", "needs", "input level", "forward", "backward", "citation")]
    cells += [
        (
            row.name,
            row.needs,
            "yes" if row.input_level else "no",
            f"{row.forward_passes:.0f}",
            f"{row.backward_passes:.0f}",
            row.citation,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for cell in cells:
        words, numbers = cell[:3], cell[3:5]
        left = [word.ljust(width) for word, width in zip(words, widths[:3], strict=True)]
        right = [number.rjust(width) for number, width in zip(numbers, widths[3:5], strict=True)]
        lines.append("  ".join([*left, *right, cell[5]]))
    return "\n".join(lines)
