"""Search spaces: published sizes, networks and counts; codes of every kind; the registry."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.nas import spaces
from lutra.nas.spaces import ChainSpace, Decision, SearchSpace, _registry
from lutra.networks import NetworkBuilder, TensorType, zoo
from lutra.networks.errors import UnknownNameError, UsageError
from lutra.networks.lowering.blocks import Block, BlockSpace

FBNET = Path(__file__).resolve().parents[4] / "shared" / "data" / "fbnet" / "architectures.parquet"
SPACES = {
    name: spaces.build(name)
    for name in ("proxyless", "fbnet", "ofa-mbv3", "ofa-mbv3@224", "ofa-mbv3-w1.2", "nasbench201")
}
SEEDS = st.integers(0, 2**32 - 1)


# -- published facts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("proxyless", 6**6 * 7**15),
        ("proxyless-24", 6**6 * 7**15),
        ("proxyless@160,224", 2 * 6**6 * 7**15),
        ("fbnet", 9**22),
        ("ofa-mbv3@224", 7371**5),
        ("ofa-mbv3", 5 * (9**2 + 9**3 + 9**4) ** 5),
        ("ofa-mbv3-w1.2", 5 * 7371**5),
        (f"ofa-mbv3@{','.join(map(str, range(128, 225, 4)))}", 25 * 7371**5),
        ("nasbench201", 15_625),
        ("tinynas-w0.5@144", 9 * 7371**5),
        ("tinynas-w1.0", 12 * 9 * 7371**5),
    ],
)
def test_sizes_are_the_published_ones(name: str, size: int) -> None:
    assert spaces.build(name).size == size


def test_the_released_proxyless_network_is_in_the_space() -> None:
    names = ["3x3", "3x6", "5x3", "5x6", "7x3", "7x6"]
    stages = ["5x3 3x3", "7x3 3x3 5x3 5x3", "7x6 5x3 5x3 5x3", "5x6 5x3 5x3 5x3", "7x6 7x6 7x3 7x3"]
    code = [c for stage in stages for c in [*map(names.index, stage.split()), 6, 6][:4]] + [names.index("7x6")]
    network = SPACES["proxyless"].decode(code)
    assert network.fingerprint == zoo.build("proxyless_mobile").fingerprint
    assert (round(network.macs / 1e3), network.params) == (320_428, 4_080_512)


@pytest.mark.parametrize(("name", "width"), [("ofa-mbv3", 1.0), ("ofa-mbv3-w1.2", 1.2)])
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_sub_nets_of_once_for_all_are_those_of_the_zoo(name: str, width: float, seed: int) -> None:
    space = SPACES[name]
    code = space.sample(1, np.random.default_rng(seed))[0].tolist()
    resolution, depths, blocks = code[0], code[1:6], code[6:]
    same = zoo.build(
        "ofa_mobilenet_v3",
        resolution=int(space.decisions[0].choices[resolution]),
        ks=[(3, 5, 7)[c // 3] for c in blocks],
        e=[(3, 4, 6)[c % 3] for c in blocks],
        d=[depth + 2 for depth in depths],
        width_mult=width,
    )
    assert space.decode(code).fingerprint == same.fingerprint


@pytest.mark.skipif(not FBNET.exists(), reason="the measured data is not beside this checkout")
def test_fbnet_has_the_published_parameters() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(FBNET).slice(0, 25).to_pylist()
    more_classes = 1504 * 900 + 900  # those were counted for 100 classes
    for row in rows:
        code = [row[f"op_{i:02d}"] for i in range(22)]
        assert SPACES["fbnet"].decode(code).params - more_classes == row["params"]


def test_fbnet_without_any_block_keeps_what_changes_shapes() -> None:
    network = SPACES["fbnet"].decode([8] * 22)
    assert sum(node.op.kind == "conv2d" for node in network) == 2 + 6


def test_cells_of_nasbench201_are_those_of_the_zoo() -> None:
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    network = SPACES["nasbench201"].decode([3, 0, 1, 4, 2, 0])
    assert network.fingerprint == zoo.build(f"nasbench201/{arch}").fingerprint


# -- codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, rate=st.floats(0, 1), n=st.integers(0, 20))
def test_whatever_makes_codes_makes_valid_ones(name: str, seed: int, rate: float, n: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    first, second = space.sample(n, rng), space.sample(n, rng)
    for codes in (first, space.mutate(first, rng, rate), space.crossover(first, second, rng)):
        assert codes.shape == (n, len(space.decisions))
        assert (space.canonical(space.validate(codes)) == codes).all()


@pytest.mark.parametrize("name", ["proxyless", "fbnet", "nasbench201"])
def test_mutation_changes_as_much_as_asked(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    parents = space.sample(500, rng)
    least = (space.mutate(parents, rng, 0.0) != parents).sum(axis=1)
    assert (least == 1).all()
    assert (space.mutate(parents, rng, 1.0) != parents).all()
    share = (space.mutate(parents, rng, 0.5) != parents).mean()
    assert share == pytest.approx(0.5, abs=0.05)


def test_children_take_after_both_parents() -> None:
    space, rng = SPACES["fbnet"], np.random.default_rng(0)
    zeros, ones = np.zeros((200, 22), int), np.ones((200, 22), int)
    children = space.crossover(zeros, ones, rng)
    assert children.mean() == pytest.approx(0.5, abs=0.05)
    assert len(np.unique(children, axis=0)) > 190


def test_codes_of_one_network_have_one_canonical_form() -> None:
    """All codes of one stage: as many canonical ones as the paper counts networks."""
    space = SPACES["ofa-mbv3@224"]
    assert isinstance(space, SearchSpace)
    stage = np.array(list(product(range(3), *[range(9)] * 4)))
    codes = np.zeros((len(stage), 25), np.int64)
    codes[:, 2], codes[:, 13:17] = stage[:, 0], stage[:, 1:]  # the third stage
    canonical = space.canonical(codes)
    assert len(np.unique(canonical, axis=0)) == 9**2 + 9**3 + 9**4
    assert (space.canonical(canonical) == canonical).all()
    some = np.random.default_rng(0).integers(0, len(codes), 5)
    for code, same in zip(codes[some], canonical[some], strict=True):
        assert space.decode(code).fingerprint == space.decode(same).fingerprint
        assert space.label(code) == space.label(same)


def test_a_refusal_says_which_choice_and_what_there_is() -> None:
    with pytest.raises(UsageError, match="7 is no choice of 'position 0' in the space 'proxyless'") as refused:
        SPACES["proxyless"].validate([7] + [0] * 20)
    assert "3x3 e3" in str(refused.value.hint)
    with pytest.raises(UsageError, match="no chain of blocks"):
        SPACES["nasbench201"].chain_of([0] * 6)


# -- spaces of one's own ----------------------------------------------------------------------------------


def stem(b: NetworkBuilder, x: str) -> str:
    return b.op("conv2d", x, out_channels=8, kernel_size=3, stride=2, padding=1)


def conv(b: NetworkBuilder, x: str) -> str:
    return b.op("conv2d", x, out_channels=8, kernel_size=1)


def head(b: NetworkBuilder, x: str) -> str:
    return b.op("flatten", b.op("global_avg_pool2d", x))


def chain(side: int = 16, positions: tuple[tuple[Block, ...], ...] = ((conv, stem),)) -> BlockSpace:
    return BlockSpace("own", TensorType((1, 3, side, side)), stem, positions, head)


def test_several_images_are_one_more_decision() -> None:
    space = ChainSpace("own", [chain(16), chain(32)])
    assert [decision.name for decision in space.decisions] == ["input", "position 0"]
    chains, choices = space.chain_of([[0, 1], [1, 0]])
    assert (chains.tolist(), choices.tolist()) == ([0, 1], [[1], [0]])
    assert space.decode([1, 0]).inputs[0][1].shape == (1, 3, 32, 32)
    assert space.size == 4


def test_spaces_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="0 forms"):
        ChainSpace("own", [])
    with pytest.raises(UsageError, match="2 forms"):
        ChainSpace("own", [chain(), chain(positions=((conv,),))])
    with pytest.raises(UsageError, match="do not fit"):
        ChainSpace("own", [chain()], [["only one"]])
    with pytest.raises(UsageError, match="without a choice"):
        ChainSpace("own", [chain(positions=((),))])
    with pytest.raises(UsageError, match="without a choice"):
        ChainSpace("own", [chain(positions=())])


def test_many_choices_still_make_a_name() -> None:
    space = ChainSpace("own", [chain(positions=((conv,) * 40,))])
    assert space.label([39]) == "own/39"


# -- registry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["ofa-mbv3@", "ofa-mbv3@0", "ofa-mbv3@224,224", "ofa-mbv3@a", "ofa-mbv3@99999", "ofa-mbv3@100", "ofa-mbv3@ 224"],
)
def test_sizes_of_image_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="ofa-mbv3"):
        spaces.build(name)


def test_an_unknown_space_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown search space 'proxyles'") as refused:
        spaces.build("proxyles")
    assert refused.value.known == spaces.names()
    with pytest.raises(UsageError, match="images of one size"):
        spaces.build("nasbench201@16,32")


def test_networks_of_other_sizes_go_under_other_names() -> None:
    names = {spaces.build(name).label([0] * 25) for name in ("ofa-mbv3@128", "ofa-mbv3@224")}
    assert names == {f"ofa-mbv3@{side}/{'0' * 25}" for side in (128, 224)}
    assert spaces.build("ofa-mbv3@224,128").name == "ofa-mbv3@128,224"


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings a space, as far as entry points go."""
    (tmp_path / "their_space.py").write_text(
        "from lutra.nas.spaces import register, build\n"
        "@register('theirs', 64)\n"
        "def theirs(resolutions):\n"
        "    return build(f'proxyless@{resolutions[0]}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = EntryPoint("theirs", "their_space", _registry.ENTRY_POINTS)
    monkeypatch.setattr(
        _registry, "entry_points", lambda group, name="theirs": [entry] if name == "theirs" and group else []
    )
    yield
    _registry._registered.pop("theirs", None)
    sys.modules.pop("their_space", None)


@pytest.mark.usefixtures("plug_in")
def test_spaces_of_other_packages_are_found() -> None:
    assert "theirs" in spaces.names()
    assert spaces.build("theirs").decode([0] * 21).inputs[0][1].shape == (1, 3, 64, 64)
    assert spaces.build("theirs@96").decode([0] * 21).inputs[0][1].shape == (1, 3, 96, 96)


def test_two_spaces_cannot_have_one_name() -> None:
    with pytest.raises(UsageError, match="two spaces are called 'proxyless'"):
        spaces.register("proxyless")(lambda _: ChainSpace("own", [chain()]))


def test_decisions_are_described() -> None:
    assert SPACES["ofa-mbv3"].decisions[0] == Decision("resolution", ("128", "160", "176", "192", "224"))
    assert SPACES["nasbench201"].decisions[2].name == "edge 2<-1"
