"""``xai-detect demo``: inspect images with two detectors that ship."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual
from xai_detect.commands.inspect import inspect
from xai_detect.commands.options import Case


def demo(
    case: Annotated[Case, typer.Option(help=manual.say("help.demo_case"))] = Case.SCANS,
    out: Annotated[Path, typer.Option(help=manual.say("help.demo_out"))] = Path("demo_run"),
) -> None:
    """Inspect images with two detectors that ship: what is right, what is not, and why."""
    from xai_detect.commands.showcase import parts

    for part in parts(out, case):
        typer.echo(f"\n{part.model}, {part.words}: {len(part.sources)} images")
        sources = [str(path) for path in part.sources]
        asked = None if part.asked is None else [part.asked]
        inspect(
            sources, model=part.model, out=out / part.name, conf=part.confidence,
            truth=part.truth, references=part.references, asked=asked,
        )  # fmt: skip
