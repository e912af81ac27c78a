"""ProxylessNAS for three latency budgets: profile, warm up, search once for each budget, take out, measure, compare.

The same loop as search_once_for_all.py over the same blocks: a supernet with weights of its own for each candidate, and
a search by gradient for each budget. ``python search_proxyless_budgets.py`` does it on this machine with handwritten
digits, in some minutes; ``--images cifar10-train.parquet --test cifar10-test.parquet`` with other images, ``--quick``
on a stand-in for a device, with next to no training.
"""

import numpy as np
from whole_loop import COVERAGE, SHARES, Found, Loop, weights_of

from lutra.luts import Store
from lutra.nas import spaces
from lutra.nas.accuracy.data_augmentation import Batches
from lutra.nas.accuracy.lessons import evaluate
from lutra.nas.gradient import LatencyTerm, Proxyless, Training, extract
from lutra.nas.spaces import ChainSpace

loop = Loop(str(__doc__), epochs=50)
(chain,) = spaces.build("ofa-small@16" if loop.quick else "ofa-small@24").chains()
# Kernels of 3, 5 and 7 times expansions of 3, 4 and 6; behind them, where a block may be left out, that it is.
space = ChainSpace("small-chain", [chain])
largest = [8] * len(space.decisions)


def training(epochs: int, *, warm_up: int, rate: float) -> Training:
    augmentation, batch = loop.recipe.augmentation, loop.recipe.batch
    return Training(epochs=epochs, warm_up=warm_up, batch=batch, weights_rate=rate, augmentation=augmentation)


with Store.open(loop.folder / "rows.db", create=True) as store:
    # 1. Every kernel of the space on the device.
    with loop.step("1. profile"):
        oracle = loop.oracle(space, store)

    # 2. Weights learn random paths, and the choices stay equal: once for all budgets, half of the epochs.
    with loop.step("2. warm-up"):
        learned, chosen_by, test = loop.images(int(chain.input.shape[-1]))
        half = loop.epochs // 2
        warm = Proxyless(space, training=training(half, warm_up=half, rate=0.05))
        warm.run(learned, chosen_by, checkpoint=loop.folder / "warm.npz")

    # 3. The other half for each budget: weights and choices in turn. What is derived is taken out of the supernet.
    with loop.step("3. search"):
        judged = Batches(test, 500, statistics=learned.channel_statistics())
        least, most = oracle.cheapest().latency_ms, oracle.latency_ms(largest)
        found = []
        for rank, share in enumerate(SHARES):
            budget_ms = least + share * (most - least)
            # The upper end of the interval has to keep the budget; how far it is off is much the same for all networks.
            margin = oracle.intervals_ms([largest], COVERAGE)[0, 1] / most
            term = LatencyTerm(oracle, target_ms=max(budget_ms / margin, least))
            run = Proxyless(space, latency=term, training=training(half, warm_up=0, rate=0.025), choices_rate=0.1)
            run.net.load_state_dict(warm.net.state_dict())
            code = run.run(learned, chosen_by, checkpoint=loop.folder / f"search-{rank}.npz")
            module = extract(run, code, learned)
            found.append(Found(budget_ms, code, space.decode(code), weights_of(module), evaluate(module, judged)))
        codes = np.array([each.code for each in found])
        predicted, intervals = oracle.latencies_ms(codes), oracle.intervals_ms(codes, COVERAGE)

    # 4. The networks found, measured whole.
    with loop.step("4. measure"):
        measured = loop.measured_ms(found, store)

# 5. Each beside the same network with weights of its own.
with loop.step("5. alone"):
    alone = [loop.alone_pct(each.network) for each in found]
loop.report(space, found, intervals, predicted, measured, alone)
