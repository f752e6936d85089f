"""The command line: parse and call. Progress and notes on stderr, results on stdout.

What a command needs is imported when it runs, so that help comes at once.

Exit codes: 0 done, 1 the input was wrong, 2 usage, 3 ``--fail-on`` found one, 130 interrupted.
"""

import os
import sys
from typing import Annotated

import typer

import xai_detect
from xai_detect.commands import manual
from xai_detect.commands.demo import demo
from xai_detect.commands.doctor import doctor
from xai_detect.commands.evaluate import evaluate
from xai_detect.commands.explain import explain
from xai_detect.commands.fit_parchgrad import fit_parchgrad
from xai_detect.commands.inspect import inspect
from xai_detect.commands.methods import methods
from xai_detect.commands.simulate import simulate
from xai_detect.errors import XaiDetectError

app = typer.Typer(
    name="xai-detect",
    cls=manual.Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=manual.say("command.program"),
    options_metavar=manual.say("usage.any_options"),
    subcommand_metavar=manual.say("usage.any_command"),
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help=manual.say("help.version"))] = False,
) -> None:
    if version:
        typer.echo(f"xai-detect {xai_detect.__version__}")
        raise typer.Exit


for command in (inspect, evaluate, fit_parchgrad, simulate, demo, explain, methods, doctor):
    app.command(
        cls=manual.Command,
        help=manual.say(f"command.{command.__name__}"),
        options_metavar=manual.say("usage.any_options"),
    )(command)


def main() -> None:
    """Run the command line; a mistake in the input becomes one line and exit code 1."""
    # Torch's threads wait by spinning unless told otherwise before it is loaded. Beside two other
    # busy processes that made a detection twenty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(standalone_mode=True)
    except XaiDetectError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"error: {error.filename or 'the disk'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
