"""DARTS on its cells: the supernet holds every network of the space, and the two best edges of each node are kept."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lutra.nas.gradient import CellSupernet, DartsCells, LatencyTerm, Training
from lutra.nas.gradient.mixing import one_path
from lutra.nas.gradient.supernet import statistics_kept
from lutra.nas.gradient.testing import toy_images, toy_oracle, toy_space
from lutra.nas.spaces.darts import DartsSpace
from lutra.networks.blocks import DARTS_OPS, DartsEdge
from lutra.networks.errors import NotSupportedError, UsageError
from lutra.networks.exporters import to_torch

SPACE = DartsSpace(8, channels=4, cells=3)
EDGES = [(node, source) for node in range(4) for source in range(node + 2)]


def layers_of(net: CellSupernet, search: DartsCells, code: np.ndarray) -> list[torch.nn.Module]:
    """The layers with weights of one architecture, in the order of the decoded network."""
    path, parts = search.path(code), [net.stem]
    for cell in net.cells:
        parts += [cell.before, cell.last]
        places = path[cell.kind * len(EDGES) :]
        parts += [ops[i] for ops, i in zip(cell.edges, places, strict=False) if i < len(DARTS_OPS)]
    modules = [step.module for part in [*parts, net.head] for step in part.steps]
    return [module for module in modules if module.state_dict()]


def test_a_path_computes_what_the_decoded_network_does() -> None:
    search = DartsCells(SPACE)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for code in SPACE.sample(3, np.random.default_rng(0)):
        alone = to_torch(SPACE.decode(code))
        own = [step.module for step in alone.steps if step.module.state_dict()]
        for module, layer in zip(own, layers_of(search.net, search, code), strict=True):
            module.load_state_dict(layer.state_dict())
        with torch.no_grad(), statistics_kept(alone), statistics_kept(search.net):
            mixed = search.net(images, one_path(search.path(code)))
            torch.testing.assert_close(mixed, alone(images), rtol=1e-4, atol=1e-5)


def test_the_two_best_edges_of_each_node_are_kept() -> None:
    search = DartsCells(SPACE)
    logits = np.full((2, len(EDGES), len(DARTS_OPS) + 1), -1.0)
    logits[..., -1] = 5.0  # "none" is most probable everywhere, and never derived
    best = {(0, 0): 3, (0, 1): 2, (1, 2): 6, (1, 0): 1, (2, 1): 3, (2, 3): 0, (3, 4): 4, (3, 2): 5}
    for edge, op in best.items():
        logits[:, EDGES.index(edge), op] = 3.0
    logits[1, EDGES.index((3, 4)), 0] = 4.0
    with torch.no_grad():
        for place, values in zip(search.choices, logits.reshape(-1, 8), strict=True):
            place.copy_(torch.from_numpy(values))
    normal, reduction = SPACE.cells(search.derive())
    wanted = [sorted((s, DARTS_OPS[op]) for (n, s), op in best.items() if n == node) for node in range(4)]
    assert [sorted((edge.source, edge.op) for edge in pair) for pair in normal] == wanted
    assert set(reduction[3]) == {DartsEdge(2, "dil_conv_3x3" if best[3, 2] == 5 else ""), DartsEdge(4, "max_pool_3x3")}


def test_a_normal_cell_that_does_nothing_ends_the_search() -> None:
    search = DartsCells(SPACE)
    assert search.collapsed() is None
    skip = DARTS_OPS.index("skip_connect")
    with torch.no_grad():
        for node, source in EDGES:
            if source < 2 and node < 2:
                search.choices[EDGES.index((node, source))][skip] = 3.0
    assert search.collapsed() == "4 of the 8 edges of the normal cell would do nothing"


def test_what_has_no_cells_or_a_latency_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="'toy-chain' has no cells of DARTS"):
        DartsCells(toy_space())
    with pytest.raises(NotSupportedError, match="has no gradient"):
        DartsCells(SPACE, latency=LatencyTerm(toy_oracle(toy_space()), 3.0))
    with pytest.raises(UsageError, match="without a device"):
        DartsCells(SPACE).derive(3.0)


def test_the_second_order_is_computed_on_cells_too() -> None:
    space = DartsSpace(8, channels=2, cells=3)
    search = DartsCells(space, training=Training(epochs=1, batch=8), order=2, choices_rate=0.1)
    code = search.run(toy_images(8, 0), toy_images(8, 1))
    assert search.certainty > 0
    assert space.decode(code).macs > 0
