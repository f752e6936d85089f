"""``xai-detect demo``: inspect simulated scans with two detectors that ship."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands.inspect import inspect


def demo(
    out: Annotated[Path, typer.Option(help="Folder for scans and runs.")] = Path("demo_run"),
) -> None:
    """Inspect simulated scans with two detectors that ship: right, wrong, missed, and why."""
    from xai_detect.commands.showcase import parts

    for part in parts(out):
        typer.echo(f"\n{part.model}, {part.words}: {len(part.sources)} scans")
        sources = [str(path) for path in part.sources]
        folder = out / part.name
        inspect(sources, model=part.model, out=folder, conf=part.confidence, truth=part.truth)
