"""How a command ends: what is written last, what is printed, and the exit code."""

from collections.abc import Mapping
from pathlib import Path

import typer

from xai_detect.batch.sources import shown_path
from xai_detect.commands import options, text
from xai_detect.commands.progress import notes
from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.evaluation.figures import Evaluation
from xai_detect.inspection.comparison import Comparison
from xai_detect.output.drawing.plots import save_plots
from xai_detect.output.drawing.side_by_side import save_figure
from xai_detect.output.exchange import write_coco_results
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.records import Record
from xai_detect.values.findings import Level
from xai_detect.words.catalogue import Catalogue, spoken


def tell_run(run: Run, sources: set[str], as_json: bool, fail_on: options.FailOn | None) -> None:
    """Print what was found in the images that were asked for.

    Raises:
        InputError: If none of them could be inspected.
        typer.Exit: With 3 for a verdict that ``fail_on`` names, a box that does not show the class
            asked about, or an image without a verdict.
    """
    shown = [record for record in run.records if record.source in sources]
    failed = {source: why for source, why in run.failed.items() if source in sources}
    if as_json:
        typer.echo(text.run_json(run, shown, failed))
    elif shown:
        typer.echo(text.run_lines(run, shown, shown_path))
    _tell_failures(failed, len(shown), spoken(run.header.lang))
    # an image without a verdict has not passed
    if fail_on is not None and (failed or any(_is_bad(record, fail_on) for record in shown)):
        raise typer.Exit(3)


_BAD = {
    options.FailOn.UNTRUSTED: {Level.UNTRUSTED},
    options.FailOn.UNCERTAIN: {Level.UNTRUSTED, Level.UNCERTAIN},
}


def _is_bad(record: Record, fail_on: options.FailOn) -> bool:
    """Whether a detection of this image is what the user does not want."""
    if fail_on is options.FailOn.ABSENT:
        return any(asked is not None and not asked.supported for asked in record.asked)
    return any(verdict.level in _BAD[fail_on] for verdict in record.verdicts)


def _tell_failures(failed: Mapping[str, str], shown: int, words: Catalogue) -> None:
    if not shown and len(failed) == 1:
        raise InputError(*failed.values())
    for source, why in failed.items():
        typer.echo(words.say("told.failed", source=shown_path(source), why=why), err=True)
    if not shown:
        raise InputError(f"none of the {len(failed)} images could be inspected")


def tell_evaluation(
    result: Evaluation,
    dataset: Dataset,
    run: Run | None,
    plots: Path | None,
    detections: Path | None,
    as_json: bool,
    words: Catalogue,
) -> None:
    """Print the figures, then write what was asked for beside them.

    Raises:
        InputError: If the disk refuses.
    """
    if run is not None:
        notes.print(words.say("told.report", path=run.folder / "report.html"))
    told = {*dataset.losses.lines, *dataset.problems}
    for problem in (result.pairing, *result.problems):
        if problem and problem not in told:
            notes.print(words.say("told.note", note=problem), markup=False, soft_wrap=True)
    typer.echo(text.as_json(result.as_dict()) if as_json else text.evaluation_lines(result, words))
    if plots is not None:
        save_plots(result, plots, words.language)
    if detections is not None:
        write_coco_results(detections, result.detections.items(), dataset.class_ids)


def tell_comparison(
    result: Comparison,
    image: Path,
    model: str,
    out: Path | None,
    as_json: bool,
    words: Catalogue,
) -> None:
    """Write the figure, if asked for, and print the numbers."""
    if out is not None:
        save_figure(result, out, words.language)
    if as_json:
        typer.echo(text.comparison_json(result, image, model, out))
    else:
        typer.echo(text.comparison_lines(result, out, words))
