"""``xai-detect simulate``: X-ray scans with exact ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual, progress


def simulate(
    out: Annotated[Path, typer.Argument(help=manual.say("help.scans_out"))],
    scans: Annotated[int, typer.Option(help=manual.say("help.scans"))] = 100,
    seed: Annotated[int, typer.Option(help=manual.say("help.seed"))] = 0,
    size: Annotated[int, typer.Option(help=manual.say("help.size"))] = 640,
    planted: Annotated[str | None, typer.Option(help=manual.say("help.planted"))] = None,
    variant: Annotated[str, typer.Option(help=manual.say("help.variant"))] = "plain",
    into: Annotated[Path | None, typer.Option(help=manual.say("help.into"))] = None,
    split: Annotated[str, typer.Option(help=manual.say("help.split_name"))] = "val",
    image_format: Annotated[str, typer.Option("--format", help=manual.say("help.format"))] = "jpg",
    raw: Annotated[bool, typer.Option("--raw", help=manual.say("help.raw"))] = False,
    workers: Annotated[int, typer.Option(help=manual.say("help.workers"))] = 1,
) -> None:
    """Make X-ray scans with exact ground truth."""
    from xai_detect.xray.scenes.simulate import simulate as make_scans

    with progress.bar("simulating", scans, progress.chosen_words(None)) as step:
        made = make_scans(
            out, scans, seed, size, planted, into,
            variant=variant, split=split, image_format=image_format, raw=raw,
            workers=workers, progress=lambda *_: step(),
        )  # fmt: skip
    typer.echo(f"{made.scans} scans, {made.items} items, {made.clean} clean: {made.annotations}")
