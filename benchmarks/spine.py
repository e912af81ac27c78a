"""Figures of the spine: from a network to a checked prediction, and how quick its parts are.

``python -m benchmarks.spine`` measures them (about ten minutes; keep the machine quiet) into
`benchmarks/results/spine.json`.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lutra.networks import zoo
from lutra.networks.exporters import to_onnx

from . import facts
from ._results import Better, Figure, Spread, note, repeat, spread, write

COMMAND = "make bench-spine"
PROCESSES = 7
CAMPAIGNS = 3
_CLI = "from lutra.service.cli import main; main()"

_TIMED_IMPORT = """
import sys, time
from lutra.networks import load_network
start = time.perf_counter()
load_network(sys.argv[1])
print(time.perf_counter() - start)
"""
_TIMED_COUNT = """
import sys, time
from lutra.networks import load_network
network = load_network(sys.argv[1])
start = time.perf_counter()
network.macs
print(1e3 * (time.perf_counter() - start))
"""
_TIMED_LUTS = "import time; s = time.perf_counter(); import lutra.luts; print(time.perf_counter() - s)"
_TORCH_FREE = "import sys, lutra.luts; print(float('torch' not in sys.modules))"


def _python(code: str, *arguments: str) -> float:
    """The number that ``code`` prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _wall(*arguments: str) -> float:
    """Seconds from the start to the end of a fresh ``lutra`` process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _CLI, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def quickstart_error_pct(folder: Path) -> float:
    """Absolute error in % of MobileNetV2's prediction after one campaign into an empty store."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        command = ["profile", "mobilenet_v2", "--store", str(Path(empty) / "lutra.db"), "--json"]
        done = subprocess.run([sys.executable, "-c", _CLI, *command], stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["networks"]["report"]["summary"]["mape_pct"])


def _figure(figure: str, value: float, unit: str, goal: float, protocol: str, better: Better = "lower") -> Figure:
    return Figure(
        figure=figure, value=value, unit=unit, goal=goal, better=better, peer="", protocol=protocol, command=COMMAND
    )


def _quickstart(folder: Path) -> Figure:
    note(f"profiling MobileNetV2 {CAMPAIGNS} times into an empty store")
    errors = spread([quickstart_error_pct(folder) for _ in range(CAMPAIGNS)])
    return _figure(
        "quickstart_mobilenet_v2_error_pct",
        errors.median,
        "%",
        10,
        "Absolute error of the prediction. "
        "Lower quartiles of the whole network and of its kernels, timed in turns in one run by `lutra profile "
        f"mobilenet_v2`, 1 thread, float32, batch 1, empty store: {errors}.",
    )


def _imports(folder: Path) -> Iterator[Figure]:
    for name in ("vit_b_16", "densenet121"):
        note(f"importing {name} from ONNX")
        path = folder / f"{name}.onnx"
        path.write_bytes(to_onnx(zoo.build(name)).SerializeToString())
        seconds = repeat(partial(_python, _TIMED_IMPORT, str(path)), PROCESSES)
        yield _figure(
            f"{name}_onnx_import_s",
            seconds.median,
            "s",
            2,
            f"`load_network` on a file of {path.stat().st_size / 2**20:.0f} MiB in the file cache, weights included, "
            f"each in a fresh process: {seconds}.",
        )
        milliseconds = repeat(partial(_python, _TIMED_COUNT, str(path)), PROCESSES)
        yield _figure(
            f"{name}_count_macs_ms",
            milliseconds.median,
            "ms",
            5,
            f"First `network.macs` after the import, each in a fresh process: {milliseconds}.",
        )
        path.unlink()


def _start_up() -> Iterator[Figure]:
    note("importing lutra.luts")
    seconds = repeat(partial(_python, _TIMED_LUTS), PROCESSES)
    yield _figure("import_luts_s", seconds.median, "s", 0.3, _fresh("The import statement", seconds))
    yield _figure(
        "import_luts_without_torch",
        _python(_TORCH_FREE),
        "(1: yes)",
        1,
        "Whether torch stays out of `sys.modules`, in a fresh process.",
        better="higher",
    )
    note("lutra --help")
    seconds = repeat(partial(_wall, "--help"), PROCESSES)
    yield _figure("help_s", seconds.median, "s", 0.5, _fresh("Start to end of the process", seconds))


def _fresh(what: str, samples: Spread) -> str:
    return f"{what}, each in a fresh process, files cached: {samples}."


def _facts() -> Figure:
    note("counting known networks")
    checked = facts.facts()
    wrong = [f"{fact.network} {fact.quantity}" for fact in checked if not fact.reproduced]
    note(f"not reproduced: {', '.join(wrong) or 'none'}")
    return _figure(
        "published_counts_reproduced",
        len(checked) - len(wrong),
        f"of {len(checked)}",
        sum(not fact.misprinted for fact in checked),
        "To the printed digit; MACs of the released Once-for-All nets within a million. "
        f"Not reproduced: {', '.join(wrong) or 'none'}.",
        better="higher",
    )


def main() -> int:
    """Measure everything and write the results; returns the exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = [_quickstart(folder), *_imports(folder), *_start_up(), _facts()]
    for figure in figures:
        note(f"{'met' if figure.met else 'MISSED'}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write('spine', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
