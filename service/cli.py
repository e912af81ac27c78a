"""``lutra``: one module per command in `lutra.service.commands`, errors turned into exit codes here.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not supported here, 5 interrupted. A command that
only reports (``doctor``) ends with 0 whatever it finds wrong with the measuring conditions.
"""

import errno
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Protocol, runtime_checkable

import typer

from ..networks.errors import LutraError
from .commands import (
    agent,
    calibrate,
    design_spaces,
    devices,
    doctor,
    fit,
    fleet,
    jobs,
    ops,
    predict,
    profile,
    report,
    search,
    serve,
    spaces,
    supernet,
    table,
    token,
    transfer,
    validate,
    validate_mcu,
    worker,
)

FAILED, INTERRUPTED = 1, 5

app = typer.Typer(
    name="lutra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: reads the same in a pipe, and needs no import of rich
    help="Profile a device, predict the latency of networks on it, and check the prediction against the clock.",
)
app.command("doctor", short_help="What is here, and what would disturb measuring.")(doctor.doctor)
app.add_typer(devices.app, name="devices", short_help="What can be profiled, and what has a table.")
app.command("ops", short_help="The ops of networks, and the networks of the zoo.")(ops.ops)
app.command("spaces", short_help="Search spaces whose tables can be built.")(spaces.spaces)
app.command("design-spaces", short_help="Which width and size of image to search for a small memory.")(
    design_spaces.design_spaces
)
app.command("profile", short_help="Measure the kernels of networks or spaces on a device.")(profile.profile)
app.command("predict", short_help="Latency of networks on a profiled device.")(predict.predict)
app.command("search", short_help="The most accurate network within a budget on a device.")(search.search)
app.command("supernet", short_help="Train one supernet whose parts are all networks of a space.")(supernet.supernet)
app.command("fit", short_help="Fit predictors to measured networks, and keep the best.")(fit.fit)
app.command("transfer", short_help="A new device from few samples: which to measure, and what they tell.")(
    transfer.transfer
)
app.command("report", short_help="A device and networks on it, as one HTML file.")(report.report)
app.command("calibrate", short_help="A simulated device fitted to measured networks.")(calibrate.calibrate)
app.command("validate", short_help="Predict and measure networks side by side.")(validate.validate)
app.command("validate-mcu", short_help="Simulated layers of a board beside measured ones.")(validate_mcu.validate_mcu)
app.command("serve", short_help="The REST API and its pages, for others to ask.")(serve.serve)
app.add_typer(table.app, name="table")
app.add_typer(token.app, name="token")
app.add_typer(jobs.app, name="jobs")
app.command("agent", short_help="Take jobs of a server, measure here, send the rows.")(agent.agent)
app.add_typer(fleet.app, name="fleet")
app.command("worker", short_help="Take jobs from a store and run them.")(worker.worker)


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
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code."""
    try:
        return _invoke(arguments)
    except LutraError as error:
        sys.stderr.write(f"error: {error.message}  [{error.code}]\n")
        if error.hint:
            sys.stderr.write(f"  fix: {error.hint}\n")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has had enough, as `head` has
            _forget_output()
            return 0
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _forget_output()
        sys.stderr.write(f"error: the result cannot be written: {error.strerror}\n  fix: free some space\n")
        return FAILED
    except Exception as error:
        # Typer carries its own click and does not export the base class of wrong usage; what can show itself is one.
        if not isinstance(error, _ShowsItself):
            raise
        error.show()
        return error.exit_code


def _invoke(arguments: list[str]) -> int:
    """Run the command, without Typer's own handling of Ctrl-C and broken pipes, which has other exit codes."""
    command = typer.main.get_command(app)
    status = 0
    try:
        with command.make_context("lutra", arguments) as context:
            command.invoke(context)
    except typer.Exit as ended:
        status = ended.exit_code
    sys.stdout.flush()  # here, where a broken pipe or a full disk is still caught
    return status


def _forget_output() -> None:
    """Send what is still in the buffer nowhere, so that the interpreter does not fail on it when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@runtime_checkable
class _ShowsItself(Protocol):
    exit_code: int

    def show(self) -> None: ...


if __name__ == "__main__":
    main()
