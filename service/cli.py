"""``lutra``: one module per command in `lutra.service.commands`, errors turned into exit codes here.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not supported here, 4 too noisy, 5 interrupted.
"""

import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Protocol, runtime_checkable

import typer

from ..networks.errors import LutraError
from .commands import devices, doctor, ops, predict, profile, table, validate

INTERRUPTED = 5

app = typer.Typer(
    name="lutra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Profile a device, predict the latency of networks on it, and check the prediction against the clock.",
)
app.command("doctor")(doctor.doctor)
app.command("devices")(devices.devices)
app.command("ops")(ops.ops)
app.command("profile")(profile.profile)
app.command("predict")(predict.predict)
app.command("validate")(validate.validate)
app.add_typer(table.app, name="table")


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            number = version("lutra")
        except PackageNotFoundError:  # run from a source tree
            number = "unknown (not installed)"
        typer.echo(f"lutra {number}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is going on to standard error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""
    del show_version
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def main() -> None:
    """Run the command line; never shows a traceback for an error that Lutra raises on purpose."""
    try:
        status = app(standalone_mode=False)
    except LutraError as error:
        sys.stderr.write(f"error: {error.message}  [{error.code}]\n")
        if error.hint:
            sys.stderr.write(f"  fix: {error.hint}\n")
        status = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        # Typer carries its own click and does not export the base class of wrong usage; what can show itself is one.
        if not isinstance(error, _ShowsItself):
            raise
        error.show()
        status = error.exit_code
    sys.exit(status or 0)


@runtime_checkable
class _ShowsItself(Protocol):
    exit_code: int

    def show(self) -> None: ...


if __name__ == "__main__":
    main()
