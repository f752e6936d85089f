"""``xai-detect methods``: what there is to explain with."""

import typer

from xai_detect.commands import options


def methods(as_json: options.AsJson = False) -> None:
    """List the explanation methods: what each needs, costs per detection, and who wrote it."""
    from xai_detect.commands import text
    from xai_detect.explainers import listing

    rows = listing.methods()
    typer.echo(text.as_json([row._asdict() for row in rows]) if as_json else listing.table(rows))
