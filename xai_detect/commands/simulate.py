"""``xai-detect simulate``: X-ray scans with exact ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import progress


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write the scans to.")],
    scans: Annotated[int, typer.Option(help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 640,
    planted: Annotated[
        str | None, typer.Option(help="A world with a known cause: object, marker, context ...")
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Planted only: plain, swapped (the other cause) or removed.")
    ] = "plain",
    into: Annotated[
        Path | None, typer.Option(help="Folder of real scans to project one item each into.")
    ] = None,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    image_format: Annotated[str, typer.Option("--format", help="jpg or png.")] = "jpg",
    raw: Annotated[bool, typer.Option("--raw", help="Also write 16-bit low/high pairs.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
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
