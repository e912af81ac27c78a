"""How many architectures a second each model predicts, and how long one file takes."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from lutra.luts import Store
from lutra.nas import spaces
from lutra.networks import load_network, zoo
from lutra.networks.exporters import to_onnx
from lutra.predictors import (
    AdditivePredictor,
    GnnPredictor,
    LatencyPredictor,
    MlpPredictor,
    TablePredictor,
    TransferPredictor,
)
from lutra.profiler import make_plan, resolve_device, run_campaign

from .._results import Figure
from ._data import fbnet
from ._hat import hat_sets

_DEVICE: Final = "gold_6226"
_TRAINED: Final = 800
_ADDITIVE: Final = 4_000_000
_MLP: Final = 200_000
_GRAPHS: Final = 512
_REPEATS: Final = 7
_FILE: Final = "mobilenet_v2"
_LEARNED: Final = ("resnet18", "resnet34", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet1_0")


def measure() -> dict[str, Any]:
    """Architectures a second; median of seven repeats."""
    table, rng = fbnet(), np.random.default_rng(0)
    codes, latency_ms = table.codes[:_TRAINED], table.latency_ms[_DEVICE][:_TRAINED]
    costs = AdditivePredictor().fit(codes, latency_ms).choice_costs()
    many = np.asfortranarray(rng.integers(0, 9, (_ADDITIVE, codes.shape[1])), np.uint8)
    some = rng.integers(0, 9, (_MLP, codes.shape[1])).astype(np.float64)
    mlp = MlpPredictor().fit(codes, latency_ms)
    sizes, took_ms = next(iter(hat_sets().values()))
    mlp_of_sizes, many_sizes = MlpPredictor().fit(sizes, took_ms), np.resize(sizes, (_MLP, sizes.shape[1]))
    gaussian = TransferPredictor().fit(codes, latency_ms)
    space = spaces.build("nasbench201")
    graphs = [space.decode(code) for code in space.sample(_GRAPHS, rng)]
    gnn = GnnPredictor(steps=20).fit(graphs[:32], [1.0 + graph.macs / 1e8 for graph in graphs[:32]])
    return {
        "additive_archs_per_s": _ADDITIVE / _seconds(lambda: costs.latencies_ms(many, threads=1)),
        "mlp_archs_per_s": _MLP / _seconds(lambda: mlp_of_sizes.predict_batch(many_sizes)),
        "mlp_choices_archs_per_s": _MLP / _seconds(lambda: mlp.predict_batch(some)),
        "transfer_archs_per_s": _MLP / _seconds(lambda: gaussian.predict_batch(some)),
        "gnn_graphs_per_s": _GRAPHS / _seconds(lambda: gnn.predict_batch(graphs)),
        "files": _files(),
    }


def _files() -> dict[str, dict[str, float]]:
    """Seconds that an ONNX file takes, by predictor: to import it, and to predict what was imported; medians."""
    networks = [zoo.build(name) for name in _LEARNED]
    took_ms = [1.0 + network.macs / 1e8 for network in networks]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{_FILE}.onnx"
        path.write_bytes(to_onnx(zoo.build(_FILE)).SerializeToString())
        with Store.open(Path(folder) / "rows.db") as store:
            table = run_campaign(make_plan(resolve_device("null"), [zoo.build(_FILE)]), store).table
        assert table is not None
        predictors: dict[str, LatencyPredictor] = {
            "table": TablePredictor(table),
            "additive": AdditivePredictor().fit(networks, took_ms),
            "mlp": MlpPredictor().fit(networks, took_ms),
            "gnn": GnnPredictor(steps=20).fit(networks, took_ms),
        }
        return {name: _file(predictor, path) for name, predictor in predictors.items()}


def _file(predictor: LatencyPredictor, path: Path) -> dict[str, float]:
    predictor.predict(path)
    imports, predictions = [], []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        network = load_network(path)
        imported = time.perf_counter()
        predictor.predict(network)
        imports.append(imported - begin)
        predictions.append(time.perf_counter() - imported)
    return {"import_s": statistics.median(imports), "predict_s": statistics.median(predictions)}


def _seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The speeds."""
    for figure, goal, unit, what in (
        ("additive_archs_per_s", 100e6, "architectures/s", f"{_ADDITIVE:,} of FBNet's 22 choices as bytes, one thread"),
        ("mlp_archs_per_s", 500e3, "architectures/s", f"{_MLP:,} of HAT's 10 sizes, default perceptrons"),
        ("mlp_choices_archs_per_s", None, "architectures/s", f"{_MLP:,} of FBNet's 22 choices, default perceptrons"),
        ("transfer_archs_per_s", None, "architectures/s", f"{_MLP:,} of FBNet's 22 choices"),
        ("gnn_graphs_per_s", 3e3, "graphs/s", f"{_GRAPHS} whole networks of NAS-Bench-201, from `Network` objects"),
    ):
        yield Figure(
            figure=figure,
            value=round(found[figure]),
            unit=unit,
            goal=goal,
            better="higher",
            peer="",
            protocol=f"one batch of {what}; median of {_REPEATS} repeats",
            command=command,
        )
    slowest = max(found["files"], key=lambda name: found["files"][name]["predict_s"])
    seconds = found["files"][slowest]
    yield Figure(
        figure="predict_file_ms",
        value=round(1e3 * seconds["predict_s"], 2),
        unit="ms",
        goal=20.0,
        better="lower",
        peer="nn-Meter takes seconds",
        protocol=f"one warm predict of {_FILE}.onnx on top of importing it in a process of its own "
        f"({1e3 * seconds['import_s']:.0f} ms); median of {_REPEATS}; the slowest of {', '.join(found['files'])}: "
        f"{slowest}",
        command=command,
    )
