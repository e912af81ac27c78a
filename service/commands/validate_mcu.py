"""``lutra validate-mcu``: simulated layers beside layers that were measured on a real board."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import JsonOption, echo_json


def validate_mcu(
    csv: Annotated[Path, typer.Option("--csv", metavar="FILE", help="Measured layers; docs/mcu.md has the columns.")],
    board: Annotated[
        str, typer.Option("--board", metavar="NAME", help="The board (lutra devices), or its .yaml file.")
    ],
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="What is simulated: tflm-like, lean, or your own .elf.")
    ] = "tflm-like",
    as_json: JsonOption = False,
) -> None:
    """Simulate layers that were measured on a board: errors as they are, and after one factor from ten of them."""
    from ...profiler.mcu.boards import board_of
    from ...profiler.mcu.engines import engine_of
    from ...profiler.mcu.simulator import McuSimulator
    from ..board_validation import read_measurements, validate_board

    measurements = read_measurements(csv)
    simulator = McuSimulator(board_of(board), engine_of(engine))
    found = validate_board(simulator, measurements, board=simulator.board.name, engine=simulator.engine.name)
    if as_json:
        echo_json(found.to_dict())
        return
    typer.echo(str(found))
