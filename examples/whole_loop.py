"""What search_once_for_all.py and search_proxyless_budgets.py share: options, images, the device's table, the report.

Everything that takes long is kept in a folder (``--out``): after Ctrl-C or a kill, the same command goes on.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from lutra.luts import Store
from lutra.nas.accuracy import Augmentation, ImageSet, Recipe, load_images
from lutra.nas.accuracy.data_augmentation import Batches
from lutra.nas.accuracy.lessons import evaluate
from lutra.nas.accuracy.training import train
from lutra.nas.spaces import Codes, SearchSpace
from lutra.nas_bridge import LatencyOracle, make_oracle
from lutra.networks import Network
from lutra.networks.exporters import to_onnx
from lutra.predictors import table_predictor
from lutra.profiler import make_plan, make_space_plan, resolve_device, run_campaign

SHARES = (0.1, 0.3, 0.7)  # of the way from the quickest network to the largest: the three budgets
COVERAGE = 0.9  # of the intervals; their upper ends have to keep the budgets
_CHECKED = 8  # networks that are measured whole beside the kernels, so that the table knows its own error
_WATCHED = 250  # images that show how a training goes; nothing is chosen by them


@dataclass(frozen=True)
class Found:
    """A network for a budget, with the weights that it has in the supernet, and the accuracy that these give."""

    budget_ms: float
    code: Codes
    network: Network
    weights: dict[str, np.ndarray]
    shared_pct: float


class Loop:
    """Options, images and times of a run."""

    def __init__(self, description: str, *, epochs: int) -> None:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--images", default="digits", help="a Parquet file, a folder, or digits")
        parser.add_argument("--test", help="images to report on; a quarter of --images if omitted")
        parser.add_argument(
            "--count", type=int, default=2000, help="images to learn from, at most; half as many to choose by"
        )
        parser.add_argument("--epochs", type=int, default=epochs, help="of the supernet, and of each network alone")
        parser.add_argument("--out", type=Path, help="where everything is kept; a new folder if omitted")
        parser.add_argument("--quick", action="store_true", help="a stand-in for a device, and next to no training")
        given = parser.parse_args()
        self.quick: bool = given.quick
        self.epochs: int = 6 if given.quick else given.epochs
        self.folder: Path = given.out or Path(tempfile.mkdtemp(prefix="lutra-example-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = resolve_device("null" if given.quick else "host")
        digits = given.images == "digits"
        augmentation = Augmentation(padding=1 if digits else 2, flip=not digits)
        # Few images and many passes: what all networks of a supernet share takes long to learn.
        self.recipe = Recipe(epochs=self.epochs, batch=50, label_smoothing=0.0, augmentation=augmentation)
        self._images, self._test = given.images, given.test
        self._count: int = 200 if given.quick else given.count
        self._decoded: dict[int, tuple[ImageSet, ImageSet, ImageSet]] = {}
        self._times = self.folder / "times.json"
        if given.quick:
            torch.set_num_threads(1)

    def images(self, side: int) -> tuple[ImageSet, ImageSet, ImageSet]:
        """Images to learn from, to choose by, and to report on, of one size; the same images in all sizes."""
        if side not in self._decoded:
            loaded = load_images(self._images, size=side)
            loaded, test = loaded.split(0.25) if self._test is None else (loaded, load_images(self._test, size=side))
            some = loaded.subset(np.random.default_rng(0).permutation(len(loaded))[: 3 * self._count // 2])
            self._decoded[side] = (*some.split(1 / 3), test)
        return self._decoded[side]

    def oracle(self, space: SearchSpace, store: Store) -> LatencyOracle:
        """What the device takes for networks of the space; kernels that the store has no row of are measured."""
        codes = space.sample(2000, np.random.default_rng(0))
        macs = space.costs(codes).macs
        of_all_sizes = [abs(macs - size).argmin() for size in np.geomspace(macs.min(), macs.max(), _CHECKED)]
        checked = [space.decode(code) for code in codes[of_all_sizes]]
        campaign = run_campaign(make_space_plan(self.device, space.chains(), check_networks=checked), store)
        assert campaign.table is not None
        print(f"{campaign.measured} kernels measured on {self.device}, {campaign.skipped} known before")
        # Sums of kernels are a little off in one direction; the networks that were measured whole tell by how much.
        rows = [campaign.table.get("network", network.fingerprint) for network in checked]
        predictor = table_predictor(campaign.table)
        predictor.fit(checked, [row.latency_ns / 1e6 for row in rows if row is not None])
        return make_oracle(predictor, space)

    def measured_ms(self, found: Sequence[Found], store: Store) -> list[float]:
        """Latencies of the networks as they were found: whole, with their weights, from ONNX files."""
        subjects = []
        for rank, each in enumerate(found):
            model = to_onnx(each.network, weights=each.weights).SerializeToString()
            (self.folder / f"found-{rank}.onnx").write_bytes(model)
            subjects.append((each.network, model))
        table = run_campaign(make_plan(self.device, subjects), store, recheck=True).table
        assert table is not None
        rows = [table.get("network", each.network.fingerprint) for each in found]
        return [row.latency_ns / 1e6 for row in rows if row is not None]

    def alone_pct(self, network: Network) -> float:
        """Accuracy of a network after a training of its own, as many epochs as the supernet had."""
        learned, chosen_by, test = self.images(network.inputs[0][1].shape[-1])
        watched, path = chosen_by.subset(range(min(_WATCHED, len(chosen_by)))), self.folder / "alone"
        checkpoint = path / f"{network.fingerprint}.npz"
        trained = train(network, learned, watched, self.recipe, checkpoint=checkpoint, device="cpu")
        return evaluate(trained.module, Batches(test, 500, statistics=trained.statistics))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds what a step takes to what it took before a kill, and tells it."""
        wall_s, cpu_s = time.perf_counter(), _cpu_s()
        yield
        before = self.times().get(name, [0.0, 0.0])
        taken = [before[0] + time.perf_counter() - wall_s, before[1] + _cpu_s() - cpu_s]
        self._times.write_text(json.dumps(self.times() | {name: taken}, indent=1))
        print(f"{name}: {taken[0] / 60:.1f} min, {taken[1] / 60:.1f} of processors", flush=True)

    def times(self) -> dict[str, list[float]]:
        """Seconds, and seconds of processors, of each step."""
        return json.loads(self._times.read_text()) if self._times.exists() else {}

    def report(
        self,
        space: SearchSpace,
        found: Sequence[Found],
        intervals_ms: np.ndarray,
        predicted_ms: np.ndarray,
        measured_ms: Sequence[float],
        alone_pct: Sequence[float],
    ) -> None:
        """Predicted beside measured latency, and accuracy in the supernet beside that alone; kept as report.json."""
        rows = [
            {
                "network": each.network.name,
                "macs": int(each.network.macs),
                "budget_ms": each.budget_ms,
                "predicted_ms": float(predicted),
                "interval_ms": [float(end) for end in interval],
                "measured_ms": measured,
                "supernet_pct": float(each.shared_pct),
                "alone_pct": alone,
            }
            for each, predicted, interval, measured, alone in zip(
                found, predicted_ms, intervals_ms, measured_ms, alone_pct, strict=True
            )
        ]
        print("   budget     predicted, 90 % interval     measured  supernet    alone")
        for row in rows:
            low, high = row["interval_ms"]
            latencies = f"{row['predicted_ms']:6.3f} ({low:.3f} to {high:.3f}) ms  {row['measured_ms']:6.3f} ms"
            accuracies = f"{row['supernet_pct']:6.1f} %  {row['alone_pct']:5.1f} %"
            print(f"{row['budget_ms']:6.3f} ms  {latencies}  {accuracies}  {row['network']}")
        inside = sum(row["interval_ms"][0] <= row["measured_ms"] <= row["interval_ms"][1] for row in rows)
        kept = sum(row["measured_ms"] <= row["budget_ms"] for row in rows)
        pairs = list(combinations(rows, 2))
        agreed = sum((a["supernet_pct"] - b["supernet_pct"]) * (a["alone_pct"] - b["alone_pct"]) > 0 for a, b in pairs)
        wall_s, cpu_s = (sum(taken) for taken in zip(*self.times().values(), strict=True))
        print(
            f"measured: {inside} of {len(rows)} within the interval, {kept} within the budget; the supernet orders "
            f"{agreed} of {len(pairs)} pairs as training alone does\n"
            f"all of it: {wall_s / 60:.1f} min, {cpu_s / 60:.1f} of processors; kept in {self.folder}"
        )
        told = {"space": space.name, "device": str(self.device), "epochs": self.epochs, "rows": rows}
        told |= {"images": len(next(iter(self._decoded.values()))[0])}
        told |= {"within_interval": inside, "within_budget": kept, "pairs_agreed": agreed, "times_s": self.times()}
        (self.folder / "report.json").write_text(json.dumps(told, indent=1))


def _cpu_s() -> float:
    """Seconds of processors of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def weights_of(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Weights as `to_onnx` takes them."""
    return {name: value.numpy(force=True) for name, value in module.state_dict().items() if value.dim()}
