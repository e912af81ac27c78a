"""What else is traded off: as each decoded network has it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lutra.nas import spaces
from lutra.nas.problem import Objective, Problem
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import KnownOracle, Quantity, latency_on, macs_of, params_of, peak_bytes_of
from lutra.networks.errors import UsageError


@pytest.mark.parametrize("name", ["ofa-mbv3@128,160", "proxyless@96", "fbnet@64", "tinynas-w0.3@48,96", "nasbench201"])
@pytest.mark.parametrize("int8", [False, True])
def test_quantities_are_those_of_the_networks(name: str, int8: bool) -> None:
    space = spaces.build(name)
    codes = space.sample(6, np.random.default_rng(0))
    networks = [space.decode(code) for code in codes]
    peaks = peak_bytes_of(space, dtype="int8" if int8 else None, inplace_depthwise=int8)
    assert peaks(codes).tolist() == [n.peak_activation_bytes("int8" if int8 else None, int8) for n in networks]
    assert macs_of(space)(codes).tolist() == [network.macs for network in networks]
    assert params_of(space)(codes).tolist() == [network.params for network in networks]


def test_several_devices_and_energy_make_one_problem(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    every = np.indices((5,) * 4).reshape(4, -1).T
    devices = [KnownOracle(space, every, latency_of(every) * factor, device=f"board {factor}") for factor in (1, 2)]
    energy = Quantity("energy_mj", lambda codes: codes.sum(axis=1))
    quantities = [*map(latency_on, devices), macs_of(space), energy]
    problem = Problem(space, [Objective(quantity.name, quantity) for quantity in quantities])
    names = [objective.name for objective in problem.objectives]
    assert names == ["latency_ms@board 1", "latency_ms@board 2", "macs", "energy_mj"]
    codes = space.sample(5, np.random.default_rng(0))
    values = np.stack([objective.measure(codes) for objective in problem.objectives])
    np.testing.assert_allclose(values[1], 2 * values[0])
    assert values.dtype == np.float64


@pytest.mark.parametrize(
    "measure", [lambda codes: codes, lambda codes: codes[:1, 0], lambda codes: np.full(len(codes), np.nan)]
)
def test_numbers_that_are_not_one_for_each(space: ChainSpace, measure: Any) -> None:
    with pytest.raises(UsageError, match="energy_mj of 3 architectures came as"):
        Quantity("energy_mj", measure)(space.sample(3, np.random.default_rng(0)))
