"""``xai-detect doctor``: installed versions against the adapters."""

import typer

from xai_detect.commands import options


def doctor(as_json: options.AsJson = False) -> None:
    """Check installed versions against the adapters."""
    from xai_detect.commands import text
    from xai_detect.detectors.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(text.as_json([finding._asdict() for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.detail}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)
