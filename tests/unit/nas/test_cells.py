"""NASNet's and DARTS' cells: sizes, published networks, and what is no cell."""

from itertools import product
from math import prod

import numpy as np
import pytest

from lutra.nas import spaces
from lutra.nas.spaces import DartsSpace, NasNetSpace
from lutra.nas.spaces.nasnet import cells_on_two_states
from lutra.networks.blocks import DARTS_OPS, CellBlock, DartsEdge
from lutra.networks.errors import UsageError

DARTS_CELLS = 1_037_664_180


def cell(*nodes: tuple[str, int, str, int]) -> list[tuple[DartsEdge, DartsEdge]]:
    return [(DartsEdge(a, first), DartsEdge(b, second)) for first, a, second, b in nodes]


V2_NORMAL = cell(
    ("sep_conv_3x3", 0, "sep_conv_3x3", 1),
    ("sep_conv_3x3", 0, "sep_conv_3x3", 1),
    ("sep_conv_3x3", 1, "skip_connect", 0),
    ("skip_connect", 0, "dil_conv_3x3", 2),
)
V2_REDUCTION = cell(
    ("max_pool_3x3", 0, "max_pool_3x3", 1),
    ("skip_connect", 2, "max_pool_3x3", 1),
    ("max_pool_3x3", 0, "skip_connect", 2),
    ("skip_connect", 2, "max_pool_3x3", 1),
)
"""What the authors' second-order search found on CIFAR-10 (github.com/quark0/darts, cnn/genotypes.py, "DARTS_V2")."""


# -- DARTS ------------------------------------------------------------------------------------------------


def test_darts_has_the_published_size() -> None:
    assert spaces.build("darts").size == DARTS_CELLS**2
    assert prod((k + 1) * k // 2 * 7**2 for k in range(1, 5)) == DARTS_CELLS


def test_the_published_network_has_the_published_costs() -> None:
    """3.3 M parameters (table 1 of the paper; 3.349342 MB where its code prints them), 528 M MACs."""
    space = spaces.build("darts")
    assert isinstance(space, DartsSpace)
    network = space.decode(space.encode(V2_NORMAL, V2_REDUCTION))
    assert network.params == 3_349_342
    assert round(network.macs / 1e6) == 528


def test_cells_of_darts_become_codes_and_back() -> None:
    space = DartsSpace(32, channels=4, cells=3)
    for code in space.sample(50, np.random.default_rng(0)):
        assert (space.encode(*space.cells(code)) == code).all()
    swapped = [(second, first) for first, second in V2_NORMAL]
    assert (space.encode(swapped, V2_REDUCTION) == space.encode(V2_NORMAL, V2_REDUCTION)).all()


def test_darts_reduces_at_one_and_two_thirds() -> None:
    network = DartsSpace(32, channels=4, cells=8).decode([0] * 22)
    made = {node.name: node.op.outputs[0].shape[1:] for node in network}
    shapes = [made[f"cells.{i}.output"] for i in range(8)]
    assert shapes == [*[(16, 32, 32)] * 2, *[(32, 16, 16)] * 3, *[(64, 8, 8)] * 3]


@pytest.mark.parametrize(
    ("normal", "message"),
    [
        (V2_NORMAL[:3], "the normal cell has 3 nodes"),
        ([*V2_NORMAL[:3], (DartsEdge(0, "none"), DartsEdge(1, "skip_connect"))], "no node 3 of a cell applies none"),
        ([(DartsEdge(0, "skip_connect"), DartsEdge(2, "skip_connect")), *V2_NORMAL[1:]], "to states 0 and 2"),
        ([*V2_NORMAL[:3], (DartsEdge(1, "skip_connect"), DartsEdge(1, "skip_connect"))], "to states 1 and 1"),
    ],
)
def test_what_is_no_cell_of_darts_is_refused(normal: list[tuple[DartsEdge, DartsEdge]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        spaces.build("darts").encode(normal, V2_REDUCTION)  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [{"resolution": 30}, {"cells": 2}, {"channels": 0}])
def test_networks_of_darts_that_make_no_sense_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="no network of DARTS"):
        DartsSpace(**{"resolution": 32, **arguments})


# -- NASNet -----------------------------------------------------------------------------------------------


def test_the_formula_of_the_lecture() -> None:
    assert cells_on_two_states(operations=5, combiners=2, blocks=5) == 200**5 == 320_000_000_000


def test_size_counts_what_the_controller_can_write() -> None:
    one_cell = prod((b + 2) ** 2 * 7**2 * 2 for b in range(5))
    assert spaces.build("nasnet").size == one_cell**2
    first_block_alone = NasNetSpace(32, blocks=1, ops=("identity", "sep_conv_3x3", "max_pool_3x3"))
    assert first_block_alone.size == cells_on_two_states(operations=3, combiners=2, blocks=1) ** 2


def test_every_code_of_a_small_space_is_another_network() -> None:
    space = NasNetSpace(8, blocks=1, ops=("identity", "max_pool_3x3"), repeats=1, channels=2)
    codes = np.array(list(product(*(range(len(d.choices)) for d in space.decisions))))
    assert len(codes) == space.size == 32**2
    some = np.random.default_rng(0).choice(len(codes), 100, replace=False)
    assert len({space.decode(code).fingerprint for code in codes[some]}) == 100


def test_blocks_are_those_of_the_code() -> None:
    space = NasNetSpace(32, blocks=2, repeats=1, channels=4)
    code = [0, 1, 1, 4, 0, 2, 1, 0, 3, 1, *[0] * 10]
    normal, reduction = space.cells(code)
    assert normal == [
        CellBlock(0, 1, "sep_conv_3x3", "avg_pool_3x3", "add"),
        CellBlock(2, 1, "identity", "sep_conv_7x7", "concat"),
    ]
    assert reduction == [CellBlock(0, 0, "identity", "identity", "add")] * 2
    made = {node.name: node.op.outputs[0].shape[1:] for node in space.decode(code)}
    # Of the reduction cell, the last cell and both blocks are not used by any block.
    assert made["cells.0.blocks.1.concat"] == (8, 32, 32)
    assert made["cells.1.output"] == (3 * 8, 16, 16)


@pytest.mark.parametrize(
    "arguments", [{"resolution": 30}, {"blocks": 0}, {"ops": ("identity", "conv_9x9")}, {"repeats": 0}]
)
def test_networks_of_nasnet_that_make_no_sense_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no network of NASNet"):
        NasNetSpace(**{"resolution": 32, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["darts", "nasnet", "autodeeplab"])
def test_spaces_of_one_size_of_image_say_so(name: str) -> None:
    with pytest.raises(UsageError, match="images of one size"):
        spaces.build(f"{name}@32,64")


@pytest.mark.parametrize("space", [NasNetSpace(32, repeats=1, channels=2), DartsSpace(32, cells=3, channels=2)])
def test_costs_without_decoding_are_exact(space: NasNetSpace | DartsSpace) -> None:
    codes = space.sample(40, np.random.default_rng(0))
    found = space.costs(codes)
    networks = [space.decode(code) for code in codes]
    assert found.macs.tolist() == [network.macs for network in networks]
    assert found.params.tolist() == [network.params for network in networks]


def test_every_operation_of_darts_is_seven_of_the_authors_eight() -> None:
    assert len(DARTS_OPS) == 7
    assert "none" not in DARTS_OPS
