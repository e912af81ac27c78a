"""Figures of simulated GPUs beside other people's measurements.

``python -m benchmarks.gpu`` measures all parts that lack, ``python -m benchmarks.gpu PART ...`` some anew; writes
`benchmarks/results/gpu.json` and `docs/gpu-figures.md`. ``python -m benchmarks.gpu fit`` fits the constants that ship,
``python -m benchmarks.gpu fit simt`` those of products and convolutions on plain lanes alone.
``python -m benchmarks.gpu --ops FILE --device FILE`` scores any file of the shape of ``gpu/neusight_ops.parquet`` on
the GPU that a YAML file describes. Needs the measured data in ``../shared/data``, or where ``LUTRA_SHARED_DATA`` says.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from lutra.profiler.gpu_sim.device import read_gpu

from .._parts import run_parts
from .._results import ROOT, Figure, note
from ..facts import SHARED
from . import _constants, _deepbench, _figures, _kernels, _page, _whole

PARTS = {
    "new": _kernels.measure_new_gpus,
    "conv": _kernels.measure_conv,
    "tensor": _kernels.measure_tensor,
    "deepbench": _deepbench.measure,
    "networks": _whole.measure,
    "speed": _kernels.measure_speed,
}


def _made(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in _figures.FIGURES[part](content)]


def _score(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", required=True, help="a Parquet file of measured kernels")
    parser.add_argument("--device", required=True, help="the YAML file of the GPU; rows whose column gpu has its name")
    parser.add_argument("--split", nargs="*", default=[], help="only rows of these parts of the data")
    asked = parser.parse_args(arguments)
    found = _kernels.table(asked.ops, read_gpu(asked.device), asked.split)
    if not found:
        note(f"{asked.ops} has no rows of {read_gpu(asked.device).name}")
        return 1
    sys.stdout.write(_page.score_table(found))
    return 0


def main(arguments: list[str]) -> int:
    """Measure, fit or score; returns the exit status."""
    if "--ops" in arguments or "--device" in arguments:
        return _score(arguments)
    if not SHARED.is_dir():
        note(f"skipped: measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
        return 0
    if arguments in (["fit"], ["fit", "simt"]):
        (_constants.write_simt if "simt" in arguments else _constants.write_constants)()
        return 0
    found = run_parts("gpu", PARTS, _made, str(__doc__))
    if set(PARTS) <= set(found):
        (ROOT / "docs" / "gpu-figures.md").write_text(_page.page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
