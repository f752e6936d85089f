"""``xai-detect fit-parchgrad``: the channel statistics that one method needs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual, options, progress


def fit_parchgrad(
    data: Annotated[Path, typer.Argument(help=manual.say("help.truth_data"))],
    out: Annotated[Path, typer.Option(help=manual.say("help.statistics"))],
    model: options.Model = "screening",
    images: options.Images = None,
    split: options.Split = None,
    imgsz: options.Side = None,
    depth: options.Depth = None,  # noqa: ARG001 - used when it is parsed
    device: options.Device = "auto",
    threads: options.Threads = None,
    seed: Annotated[int, typer.Option(help=manual.say("help.background_seed"))] = 0,
) -> None:
    """Measure the channel statistics that the parchgrad method needs; a stopped fit goes on."""
    from xai_detect.commands import prepare
    from xai_detect.evaluation.labelled import labelled_images
    from xai_detect.explainers.parchgrad.fit import Calibration
    from xai_detect.explainers.parchgrad.statistics import save_statistics
    from xai_detect.explainers.parchgrad.unfinished import Unfinished

    words = progress.chosen_words(None)
    dataset = prepare.truth(data, words, images, split)
    detector = prepare.white_box(model, words, device, threads, imgsz)
    calibration = Calibration(detector, seed)
    unfinished = Unfinished(out, detector, [scan.name for scan in dataset.scans], seed)
    done = unfinished.resume(calibration)
    progress.tell_done(done, len(dataset), unfinished.path, words)
    rest = replace(dataset, scans=dataset.scans[done:])
    with progress.bar("measuring", len(rest), words) as step, progress.between() as asked_to_stop:

        def through(source: str, failure: str) -> None:
            nonlocal done
            done += 1
            step()
            if failure:
                progress.notes.print(words.say("told.failed", source=source, why=failure))

        for image, boxes, labels in labelled_images(rest, detector.class_names, through):
            calibration.see(image, boxes, labels)
            if asked_to_stop():
                unfinished.keep(calibration, done + 1)
                progress.notes.print(words.say("told.kept", folder=unfinished.path))
                raise KeyboardInterrupt
    counted = words.counted("images", len(dataset))
    save_statistics(calibration.result(f"{dataset.name}: {counted}"), out)
    unfinished.end()
    typer.echo(f"statistics: {out}")
