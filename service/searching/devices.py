"""Where a search's latencies come from: a device of the store, a table in a file, a saved predictor, a board."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...luts.blocktable import BlockTable
    from ...nas.problem import Measure
    from ...nas.spaces import Codes, SearchSpace
    from ...nas_bridge import LatencyOracle
    from ...predictors import LatencyPredictor
    from ...profiler import Device
    from .settings import Settings

_FILES: Final = (".json", ".parquet", ".csv", ".yaml", ".yml")
_BLOCK_KEY: Final = "-input:"  # stands in every key of a table of building blocks in YAML, in no board
_LOOKED_AT: Final = 1 << 16  # bytes of a file that say what it is
MEASURED_HERE: Final = ("host", "null")


@dataclass(frozen=True)
class Latency:
    """What is known of a device's latencies.

    Attributes:
        oracle: answers for the space's architectures.
        origin: where its numbers come from, in words.
        predictor: says more of a network than its latency; None where there is none.
        memory_share: of a board: the share of its SRAM, or flash if that is more, that architectures take, [n].
    """

    oracle: "LatencyOracle"
    origin: str
    predictor: "LatencyPredictor | None" = None
    memory_share: "Measure | None" = None


def latency_of(settings: "Settings", space: "SearchSpace") -> Latency:
    """The latencies that a search is to keep within bounds.

    Raises:
        LutraError: the device is not known, not covered, or says nothing about such a space.
    """
    from ...nas_bridge import make_oracle
    from ...predictors import LatencyPredictor
    from ...profiler import is_simulated

    if settings.model is not None:
        saved = LatencyPredictor.load(settings.model)
        return Latency(make_oracle(saved, space), f"the predictor in {settings.model}", saved)
    path, name = _file(settings.device)
    if path is not None:
        source, device, origin = _in_file(path, name)
    elif settings.device not in MEASURED_HERE and is_simulated(settings.device):
        return _simulated(settings, space)
    else:
        source, device, origin = _in_store(settings)
    oracle = make_oracle(source, space, device=device)
    predictor = source if isinstance(source, LatencyPredictor) else None
    return Latency(oracle, origin + ", simulated" * oracle.simulated, predictor)


def _file(device: str) -> tuple[Path | None, str | None]:
    """The file that a device's name is, and which device in it: ``FILE`` or ``FILE:NAME``."""
    for text, source in ((device, None), (*device.rpartition(":")[::2],)):
        path = Path(text)
        if path.suffix.lower() in _FILES and (path.is_file() or source is None) and not _is_board(path):
            return path, source
    return None, None


def _is_board(path: Path) -> bool:
    """Whether a YAML file describes a board rather than a table."""
    if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
        return False
    with path.open("rb") as file:
        return _BLOCK_KEY.encode() not in file.read(_LOOKED_AT)


def _in_file(path: Path, source: str | None) -> "tuple[BlockTable | LatencyPredictor, str, str]":
    from ...luts import Table
    from ...luts.blocktable import BLOCK, BlockTable
    from ...luts.exchange import read
    from ...networks.errors import UsageError
    from ...predictors import table_predictor

    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give a device of the store, a board, or a table's file")
    if path.suffix.lower() in (".yaml", ".yml") or (path.suffix.lower() == ".csv" and _is_of_blocks(path)):
        return _blocks_in(path, source)
    if source is not None:
        raise UsageError(f"{path} holds one device", hint=f"leave :{source} out")
    imported = read(path)
    rows, name = list(imported.rows), imported.name or path.stem
    if any(row.subject_kind == BLOCK for row in rows):
        return BlockTable.from_rows(name, rows), name, f"building blocks in {path}, measured by others"
    table = Table(imported.fingerprint, rows, name=name, documents=imported.documents)
    return table_predictor(table, name), name, f"kernels of {name} in {path}"


def _is_of_blocks(path: Path) -> bool:
    """Whether a CSV file has a line for each building block, and not for each row of a table of ours."""
    with path.open(encoding="utf-8", errors="replace") as file:
        columns = {column.strip() for column in file.readline().split(",")}
    return "kind" not in columns


def _blocks_in(path: Path, source: str | None) -> "tuple[BlockTable, str, str]":
    from ...luts.exchange import BlockOptions, read_blocks
    from ...networks.errors import UsageError

    form = "blocks-csv" if path.suffix.lower() == ".csv" else None
    tables = read_blocks(path, form, BlockOptions(source=source)).tables
    if len(tables) != 1:
        named = ", ".join(table.source for table in tables)
        raise UsageError(f"{path} has {len(tables)} devices: {named}", hint=f"say which one, as in {path}:DEVICE")
    return tables[0], tables[0].source, f"building blocks in {path}, measured by others"


def _in_store(settings: "Settings") -> "tuple[BlockTable | LatencyPredictor, str, str]":
    """The rows of a device in the store; building blocks where it was imported."""
    from ...luts.blocktable import BlockTable
    from ...networks.errors import NotCoveredError, UnknownNameError
    from ...predictors import load_predictor
    from ..stores import open_store

    name = settings.device
    with open_store(settings.store) as opened:
        named = [record for record in opened.devices() if record.name == name] if opened else []
        if opened is not None and named and all(record.fingerprint.kind == "imported" for record in named):
            blocks = BlockTable.from_rows(name, opened.measurements(named[0]))
            return blocks, name, f"building blocks of {name} in the store, measured by others"
    setting: dict[str, Any] = {n: getattr(settings, n) for n in ("store", "runtime", "threads", "precision")}
    try:
        predictor = load_predictor(name, **setting)
    except NotCoveredError as error:
        raise NotCoveredError(error.message, error.missing, hint=how_to_profile(settings)) from None
    except UnknownNameError as error:
        if name == "null":
            hint = how_to_profile(settings)
            raise NotCoveredError("the null device has not been profiled yet", (), hint=hint) from None
        from ...profiler.hardware import described_names

        raise UnknownNameError("device", name, {*error.known, *described_names()}) from None
    return predictor, name, f"kernels of {name} in the store"


def how_to_profile(settings: "Settings") -> str:
    """The command that measures what the device's table lacks."""
    words = ["lutra", "profile", "--space", settings.space]
    for option in ("device", "runtime", "threads", "precision", "store"):
        value = getattr(settings, option)
        words += [] if value in (None, "host") else [f"--{option}", str(value)]
    return f"profile the space first: {shlex.join(words)}"


def _simulated(settings: "Settings", space: "SearchSpace") -> Latency:
    """A simulated device; those of the space's kernels that the store lacks are simulated, and kept there."""
    from ...nas_bridge import make_oracle
    from ...predictors import table_predictor
    from ...profiler import resolve_device
    from ..plans import plan_of
    from ..simulated import table_of_plan

    device = resolve_device(
        settings.device,
        engine=settings.engine,
        runtime=settings.runtime,
        threads=settings.threads or 1,
        precision=settings.precision or "float32",
    )
    plan, _ = plan_of(device, (), [space], check=False, check_networks=0)
    predictor = table_predictor(table_of_plan(plan, settings.store), device.name)
    origin = f"{len(plan.kernels)} kernels on {device.name}, simulated"
    return Latency(make_oracle(predictor, space), origin, predictor, _memory_share(space, device))


def _memory_share(space: "SearchSpace", device: "Device") -> "Measure | None":
    """Share of a board's memory that networks take; None for what has memory enough."""
    from ...profiler.mcu.simulator import McuSimulator

    simulator = device.simulator
    if not isinstance(simulator, McuSimulator):
        return None
    rules, ram, flash = simulator.engine.memory, simulator.board.ram_bytes, simulator.board.flash_bytes

    def share(codes: "Codes") -> NDArray[np.float64]:
        taken = space.memory(codes, rules)
        most: NDArray[np.float64] = np.maximum(taken.sram_bytes / ram, taken.flash_bytes / flash)
        return most

    return share


def device_here(settings: "Settings") -> "Device | None":
    """The device, where it is this machine, so that networks can be measured on it."""
    from ...profiler import resolve_device

    if settings.model is not None or settings.device not in MEASURED_HERE:
        return None
    return resolve_device(
        settings.device,
        runtime=settings.runtime,
        threads=settings.threads or 1,
        precision=settings.precision or "float32",
    )
