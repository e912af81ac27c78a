"""``lutra supernet``: train one supernet whose parts are all networks of a space."""

import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..options import JsonOption, echo_json


def supernet(
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="SPACE",
            help="A space of stages: ofa-small, ofa-mbv3, a TinyNAS space, your own .py file.",
        ),
    ] = None,
    data: Annotated[
        str, typer.Option("--data", metavar="WHAT", help="Images to learn from: digits, a file, a folder.")
    ] = "digits",
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=1, help="Passes over the images, all phases together.")
    ] = 60,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Images in a step.")] = 64,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", metavar="RATE", help="Learning rate at its height.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all random choices.")] = 0,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where everything is kept.")
    ] = "lutra-supernet",
    as_json: JsonOption = False,
) -> None:
    """Train one supernet whose parts are all networks of a space, for lutra search --supernet FOLDER/supernet.npz.

    A fifth of the images is held out; some of these are kept in the file, for searches to judge networks by. The state
    after each epoch is kept: after Ctrl-C or a crash, the same command goes on.
    """
    from ...networks.errors import MissingDependencyError, UsageError
    from ..campaigns import cancel_on_interrupt, resume_command
    from ..render import training_progress
    from ..spaces import space_of

    if space is None:
        raise UsageError("no space is named", hint="name one: --space ofa-small; lutra spaces lists them")
    if find_spec("torch") is None:
        raise MissingDependencyError("torch", "learn", "training a supernet")
    from ..supernets import Lesson, trained

    lesson = Lesson(data, epochs, batch, learning_rate, seed)
    with cancel_on_interrupt("learnt in this epoch") as cancel, training_progress(epochs) as show:
        reached = trained(space_of(space), lesson, Path(out), show, cancel)
    if reached is None:
        sys.stderr.write(f"interrupted; go on with: {resume_command()}\n")
        raise typer.Exit(5)
    if as_json:
        echo_json(asdict(reached) | {"path": str(reached.path)})
        return
    typer.echo(
        f"{reached.space}: {epochs} epochs in {reached.seconds:.0f} s\n"
        f"of {reached.held_out} held-out images: largest network {reached.largest_pct:.1f} %, smallest "
        f"{reached.smallest_pct:.1f} %\n"
        f"kept in {reached.path}; search it with: lutra search --space {space} --supernet {reached.path}"
    )
