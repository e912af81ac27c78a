"""One supernet, three latency budgets: profile, train once, search, take out, measure, and compare.

``python search_once_for_all.py`` does it on this machine with handwritten digits, in some minutes;
``--images cifar10-train.parquet`` with other images, ``--quick`` on a stand-in for a device, with next to no training.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from lutra.luts import Store
from lutra.nas import Constraint, Objective, Problem, make_searcher, search, spaces
from lutra.nas.accuracy import load_images
from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.once_for_all import ElasticSupernet, OnceForAll, progressive, shrink
from lutra.nas.accuracy.recipe import Recipe
from lutra.nas.accuracy.training import train
from lutra.nas_bridge import LatencyBudget, make_oracle
from lutra.predictors import table_predictor
from lutra.profiler import make_plan, make_space_plan, resolve_device, run_campaign

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", default="digits", help="a Parquet file, a folder, an .npz file, or digits")
parser.add_argument("--quick", action="store_true", help="a stand-in for a device, and next to no training")
arguments = parser.parse_args()

torch.set_num_threads(1 if arguments.quick else torch.get_num_threads())
device = resolve_device("null" if arguments.quick else "host")
space = spaces.build("ofa-small@8,16" if arguments.quick else "ofa-small@16,24")
few, scale = (400, 1) if arguments.quick else (5000, 3)
phases = progressive(
    full=2 * scale, kernel=scale, depth=(scale, scale), width=(scale, 2 * scale), learning_rate=0.1, later=0.05
)
recipe = Recipe(batch=64, augmentation=Augmentation(padding=1, flip=arguments.images != "digits"))
net = ElasticSupernet(space)


def images_of(side: int):
    """Images to learn from, to choose by, and to report on, of one size; the same images in all sizes."""
    loaded = load_images(arguments.images, size=side)
    rest, test = loaded.subset(np.random.default_rng(0).permutation(len(loaded))[:few]).split(0.25)
    return *rest.split(0.25), test


with Store.open(Path(tempfile.mkdtemp(prefix="lutra-example-")) / "rows.db", create=True) as store:
    # 1. Every kernel of the space on the device.
    checked = [space.decode(code) for code in space.sample(3, np.random.default_rng(0))]
    campaign = run_campaign(make_space_plan(device, space.chains(), check_networks=checked), store)
    assert campaign.table is not None
    oracle = make_oracle(table_predictor(campaign.table), space)
    print(f"1. {campaign.measured} kernels measured on {device}")

    # 2. One supernet, and a predictor of what its parts reach.
    learned, chosen_by, test = images_of(max(net.resolutions))
    shrunk = shrink(net, learned, chosen_by, phases, recipe)
    accuracies = OnceForAll(net, shrunk.calibration, chosen_by)
    accuracies.learn(10 if arguments.quick else 100, hidden=(32,) if arguments.quick else (400, 400, 400))
    print(f"2. supernet trained in {shrunk.seconds:.0f} s, accuracies learned in {accuracies.seconds:.0f} s")

    # 3. Three budgets from the quickest network to the largest.
    least, most = oracle.cheapest().latency_ms, oracle.latency_ms(net.largest)
    found = []
    for share in (0.1, 0.3, 0.7):
        budget = LatencyBudget(oracle, least + share * (most - least))
        accuracy = Objective("accuracy", accuracies.predicted_pct, maximise=True)
        problem = Problem(space, [accuracy], [Constraint(budget.name, budget, budget.most)])
        searcher = make_searcher(problem, "evolution", seed=0, population=50)
        result = search(problem, searcher, evaluations=100 if arguments.quick else 1000)
        found.append((budget.most, result.codes[result.best]))
    print("3. three budgets searched")

    # 4. The networks found, measured whole.
    networks = [space.decode(code) for _, code in found]
    measured = run_campaign(make_plan(device, networks), store, recheck=True).table
    assert measured is not None
    rows = [measured.get("network", network.fingerprint) for network in networks]

# 5. Each beside the same network with weights of its own, after as many epochs, on images that nothing was chosen by.
reported = OnceForAll(net, shrunk.calibration, test)
alone_recipe = Recipe(
    epochs=sum(phase.epochs for phase in phases), batch=recipe.batch, augmentation=recipe.augmentation
)
print("  budget  predicted  measured  supernet  alone")
for (budget_ms, code), network, row in zip(found, networks, rows, strict=True):
    assert row is not None
    own, _, own_test = images_of(net.resolution(code))
    alone = train(network, own, own_test, alone_recipe).accuracy_pct
    print(
        f"{budget_ms:6.3f} ms {oracle.latency_ms(code):7.3f} ms {row.latency_ns / 1e6:6.3f} ms "
        f"{reported.measured_pct(code)[0]:7.1f} % {alone:4.1f} %  {network.name}"
    )
