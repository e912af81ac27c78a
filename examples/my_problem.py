"""What the scripts ``search_*.py`` look for: accurate networks of `my_space`, quick on a device without hardware.

The device ``null`` is a stand-in whose kernels take made-up times; ``host`` in its place measures this machine. The
accuracies are made up as well (`my_accuracy`).
"""

import tempfile
from pathlib import Path

from my_accuracy import accuracy_of_codes
from my_space import space

from lutra.luts import Store, Table
from lutra.nas import Constraint, Objective, Problem
from lutra.nas_bridge import LatencyBudget, latency_on, make_oracle
from lutra.profiler import make_space_plan, resolve_device, run_campaign

BUDGET_MS = 0.3


def measured_table(device: str = "null") -> Table:
    """The device's table of all kernels of the space, measured into a store that is thrown away."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "rows.db", create=True) as store:
        done = run_campaign(make_space_plan(resolve_device(device), space.chains(), check=False), store)
        assert done.table is not None
        return done.table


oracle = make_oracle(measured_table(), space)
budget = LatencyBudget(oracle, BUDGET_MS)
budget.require()  # an error that says the least, if no network were quick enough

accuracy = Objective("accuracy", accuracy_of_codes, maximise=True)
within_budget = Problem(space, [accuracy], [Constraint(budget.name, budget, budget.most)])
"""The most accurate network within the budget."""

latency = latency_on(oracle)
trade_off = Problem(space, [accuracy, Objective(latency.name, latency)])
"""The front of accuracy and latency, without a budget."""
