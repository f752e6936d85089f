"""``xai-detect fit-parchgrad``: the channel statistics that one method needs."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import options, progress


def fit_parchgrad(
    data: Annotated[Path, typer.Argument(help="Data set with ground truth, as for evaluate.")],
    out: Annotated[Path, typer.Option(help="Statistics file to write (.safetensors).")],
    model: options.Model = "screening",
    images: options.Images = None,
    split: options.Split = None,
    imgsz: options.Side = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    seed: Annotated[int, typer.Option(help="Of the background boxes.")] = 0,
) -> None:
    """Measure the channel statistics that the parchgrad method needs."""
    from xai_detect.commands import prepare
    from xai_detect.data.read import read_dataset
    from xai_detect.evaluation.labelled import labelled_images
    from xai_detect.explainers.parchgrad.fit import fit
    from xai_detect.explainers.parchgrad.statistics import save_statistics

    words = progress.chosen_words(None)
    dataset = read_dataset(data, images=images, split=split)
    detector = prepare.white_box(model, words, device, threads, imgsz)
    with progress.bar("measuring", len(dataset), words) as step:
        scans = labelled_images(dataset, detector.class_names, each=step)
        save_statistics(fit(detector, scans, seed=seed), out)
    typer.echo(f"statistics: {out}")
