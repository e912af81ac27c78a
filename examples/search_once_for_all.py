"""One supernet, three latency budgets: profile, train once, search, take out, measure, and compare.

``python search_once_for_all.py`` does it on this machine with handwritten digits, in some minutes;
``--images cifar10-train.parquet --test cifar10-test.parquet`` with other images, ``--quick`` on a stand-in for a
device, with next to no training.
"""

from whole_loop import COVERAGE, SHARES, Found, Loop, weights_of

from lutra.luts import Store
from lutra.nas import Constraint, Objective, Problem, make_searcher, search, spaces
from lutra.nas.accuracy.once_for_all import (
    ElasticSupernet,
    OnceForAll,
    plan,
    ready_subnet,
    save_supernet,
    shrink,
)
from lutra.nas_bridge import LatencyBudget

loop = Loop(str(__doc__), epochs=50)
space = spaces.build("ofa-small@8,16" if loop.quick else "ofa-small@16,24")
net = ElasticSupernet(space)

with Store.open(loop.folder / "rows.db", create=True) as store:
    # 1. Every kernel of the space on the device.
    with loop.step("1. profile"):
        oracle = loop.oracle(space, store)

    # 2. One supernet, and a predictor of what its parts reach.
    with loop.step("2. supernet"):
        learned, chosen_by, test = loop.images(max(net.resolutions))
        watched = chosen_by.subset(range(min(250, len(chosen_by))))
        shrunk = shrink(net, learned, watched, plan(loop.epochs), loop.recipe, folder=loop.folder / "supernet")
        save_supernet(net, shrunk.calibration, loop.folder / "supernet.npz", held_out=chosen_by)
        accuracies = OnceForAll(net, shrunk.calibration, chosen_by)
        accuracies.learn(10 if loop.quick else 100, hidden=(32,) if loop.quick else (400, 400, 400))

    # 3. Three budgets from the quickest network to the largest, and the best network within each, taken out.
    with loop.step("3. search"):
        least, most = oracle.cheapest().latency_ms, oracle.latency_ms(net.largest)
        reported = OnceForAll(net, shrunk.calibration, test)  # on images that nothing was chosen by
        found = []
        for share in SHARES:
            budget = LatencyBudget(oracle, least + share * (most - least), coverage=COVERAGE)
            accuracy = Objective("accuracy", accuracies.predicted_pct, maximise=True)
            problem = Problem(space, [accuracy], [Constraint(budget.name, budget, budget.most)])
            searcher = make_searcher(problem, "evolution", seed=0, population=50)
            result = search(problem, searcher, evaluations=100 if loop.quick else 1000)
            code = result.codes[result.best]
            subnet = ready_subnet(net, code, shrunk.calibration)
            weights = weights_of(subnet.module.module)
            found.append(Found(budget.most, code, subnet.network, weights, reported.measured_pct(code)[0]))
        codes = [each.code for each in found]
        predicted, intervals = oracle.latencies_ms(codes), oracle.intervals_ms(codes, COVERAGE)

    # 4. The networks found, measured whole.
    with loop.step("4. measure"):
        measured = loop.measured_ms(found, store)

# 5. Each beside the same network with weights of its own.
with loop.step("5. alone"):
    alone = [loop.alone_pct(each.network) for each in found]
loop.report(space, found, intervals, predicted, measured, alone)
