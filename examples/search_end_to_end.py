"""All the way: profile a device, keep its table, search with a journal, measure what was found, and write it out.

``python search_end_to_end.py host`` does it on this machine instead of the stand-in, and takes a few minutes.
"""

import sys
import tempfile
from pathlib import Path

from my_accuracy import accuracy_of_codes
from my_space import space

from lutra.luts import Store
from lutra.nas import Constraint, Objective, Problem, make_searcher, search
from lutra.nas_bridge import LatencyBudget, make_oracle
from lutra.networks.exporters import to_torch_code
from lutra.predictors import Report, table_predictor
from lutra.profiler import make_plan, make_space_plan, resolve_device, run_campaign

device = resolve_device(sys.argv[1] if len(sys.argv) > 1 else "null")
folder = Path(tempfile.mkdtemp(prefix="lutra-example-"))

with Store.open(folder / "rows.db", create=True) as store:
    # 1. Every kernel of the space, and a few networks whole, so that the table knows its own error.
    checked = [space.decode(code) for code in ([0, 0, 0], [3, 3, 3], [1, 4, 2])]
    campaign = run_campaign(make_space_plan(device, space.chains(), check_networks=checked), store)
    print(f"1. {campaign.measured} kernels measured on {device}")

    # 2. The most accurate network that takes at most half of what the slowest one does.
    assert campaign.table is not None
    oracle = make_oracle(table_predictor(campaign.table), space)
    budget = LatencyBudget(oracle, oracle.latency_ms([3, 3, 3]) / 2)
    budget.require()
    accuracy = Objective("accuracy", accuracy_of_codes, maximise=True)
    problem = Problem(space, [accuracy], [Constraint(budget.name, budget, budget.most)])
    result = search(problem, make_searcher(problem, "aging", seed=0, population=10, sample=3), evaluations=60,
                    journal=folder / "journal.jsonl")  # fmt: skip
    print(f"2. {len(result)} evaluated within {budget.most:.3f} ms, best accuracy {result.best_so_far[-1]:.2f}")

    # 3. The three best, measured whole beside what the table says of them.
    best = result.values[:, 0].argsort()[::-1][:3]
    networks = [space.decode(result.codes[index]) for index in best]
    measured = run_campaign(make_plan(device, networks), store, recheck=True).table
    assert measured is not None
    predictor = table_predictor(measured)
    rows = [measured.get("network", network.fingerprint) for network in networks]
    print("3.", Report.of([predictor.explain(n) for n in networks], [row.latency_ns / 1e6 for row in rows if row]))

# 4. The architecture, as Lutra's JSON and as torch code that needs torch alone.
networks[0].save(folder / "best.json")
(folder / "best.py").write_text(to_torch_code(networks[0]))
print(f"4. {networks[0].name} is in {folder}")
