"""Memory of whole batches, and the choice of a design space from it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.nas import spaces
from lutra.nas.design_space import FEW, DesignSpace, rank
from lutra.nas.design_space_plot import save_cdfs
from lutra.nas.spaces import ChainSpace, SearchSpace
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.errors import InfeasibleError, MissingDependencyError, NotSupportedError, UsageError
from lutra.networks.lowering import lower
from lutra.networks.lowering.blocks import BlockSpace
from lutra.networks.lowering.mcu_memory import LEAN, TFLM_LIKE, MemoryRules, plan_memory

KB, MB = 1024, 1024**2
TINY = {name: spaces.build(name) for name in ("tinynas-w0.5@96,144", "tinynas-w0.3@48", "proxyless@64", "fbnet@64")}


# -- memory without decoding ------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [LEAN, TFLM_LIKE], ids=lambda rules: rules.engine)
@pytest.mark.parametrize("name", TINY)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_memory_of_codes_is_what_is_planned_for_their_networks(name: str, rules: MemoryRules, seed: int) -> None:
    space = TINY[name]
    codes = space.sample(2, np.random.default_rng(seed))
    found = space.memory(codes, rules)
    plans = [plan_memory(lower(space.decode(code), "mcu", precision="int8"), rules) for code in codes]
    assert found.sram_bytes.tolist() == [plan.sram_bytes for plan in plans]
    assert found.flash_bytes.tolist() == [plan.flash_bytes for plan in plans]


def stem(b: NetworkBuilder, x: str) -> str:
    return b.op("conv2d", x, out_channels=8, kernel_size=3, padding=1)


def begins_with_relu(b: NetworkBuilder, x: str) -> str:
    return b.op("conv2d", b.op("relu", x), out_channels=8, kernel_size=1)


def softplus_like(b: NetworkBuilder, x: str) -> str:
    return b.op("exp", x)


def head(b: NetworkBuilder, x: str) -> str:
    return b.op("flatten", b.op("global_avg_pool2d", x))


class Decoded(ChainSpace):
    """A chain that does not say that it is one."""

    def chains(self) -> tuple[BlockSpace, ...]:
        return ()

    def _network(self, code):  # type: ignore[no-untyped-def]
        return self._chains[0].network(code[0].tolist())


def own(*blocks, kind: type[ChainSpace] = ChainSpace) -> SearchSpace:  # type: ignore[no-untyped-def]
    return kind("own", [BlockSpace("own@16", TensorType((1, 3, 16, 16)), stem, (tuple(blocks),), head)])


def test_a_space_that_is_no_chain_is_decoded() -> None:
    assert own(stem, kind=Decoded).memory([[0]], LEAN) == own(stem).memory([[0]], LEAN)


def test_blocks_that_do_not_stand_alone_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="joins the layer before it: relu"):
        own(stem, begins_with_relu).memory([[0]], LEAN)


@pytest.mark.parametrize("kind", [ChainSpace, Decoded])
def test_what_no_int8_layer_computes_is_refused(kind: type[ChainSpace]) -> None:
    with pytest.raises(NotSupportedError, match="an int8 layer for exp x1"):
        own(softplus_like, kind=kind).memory([[0]], LEAN)


# -- design spaces ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> dict[str, DesignSpace]:
    """The spaces for which the lecture on MCUNet prints mean MACs, within 320 kB of SRAM and 1 MB of flash."""
    sizes = {"0.3": "160", "0.4": "112,128,144", "0.5": "112,128,144,160"}
    grid = [spaces.build(f"tinynas-w{width}@{of}") for width, of in sizes.items()]
    return {space.name: space for space in rank(grid, sram_bytes=320 * KB, flash_bytes=MB)}


def test_spaces_come_in_the_published_order(published: dict[str, DesignSpace]) -> None:
    """Means of 46.9, 46.9, 39.3, 38.3, 32.5 and 32.4 M are printed; the counts differ, their order does not.

    https://ickma2311.github.io/ML/HW-SW-codesign/efficient-ai-lecture-10-mcunet-and-tinyml.html
    """
    printed = ["w0.4@144", "w0.5@128", "w0.4@128", "w0.5@112", "w0.3@160", "w0.4@112"]
    ours = [name.removeprefix("tinynas-") for name in published]
    assert [name for name in ours if name in printed] == printed


def test_the_better_spaces_top_fifth_is_that_of_the_lecture(published: dict[str, DesignSpace]) -> None:
    """The lecture's better space has its top 20 % of networks above 50.3 M, the worse one above 32.3 M."""
    assert published["tinynas-w0.5@144"].macs_above(0.2) == pytest.approx(50.3e6, rel=0.05)
    assert published["tinynas-w0.4@128"].macs_above(0.2) == pytest.approx(32.3e6, rel=0.05)


def test_what_is_kept_fits_and_nothing_else() -> None:
    space = spaces.build("tinynas-w0.5@160")
    (found,) = rank([space], sram_bytes=256 * KB, flash_bytes=MB, samples=200, seed=3)
    codes = space.sample(200, np.random.default_rng(3))
    fits = space.memory(codes, LEAN).fits(256 * KB, MB)
    assert 0 < fits.sum() < 200
    assert found.macs.tolist() == sorted(space.costs(codes).macs[fits].tolist())
    assert found.fitting == fits.mean()
    assert found.mean_macs == space.costs(codes).macs[fits].mean()


def test_more_memory_never_keeps_fewer_networks() -> None:
    space = [spaces.build("tinynas-w0.6@128")]
    kept = [len(rank(space, sram_bytes=kb * KB, flash_bytes=2 * MB, samples=100)[0].macs) for kb in (280, 320, 512)]
    assert kept == sorted(kept)
    assert kept[0] < kept[-1] == 100


def test_spaces_may_be_ranked_by_the_top() -> None:
    grid = [spaces.build("tinynas-w0.5@96,112,128")]
    ranked = rank(grid, sram_bytes=320 * KB, flash_bytes=MB, samples=100, top=0.1)
    assert [space.macs_above(0.1) for space in ranked] == sorted((s.macs_above(0.1) for s in ranked), reverse=True)


def test_spaces_where_hardly_anything_fits_come_last() -> None:
    grid = [spaces.build("tinynas-w0.8@128"), spaces.build("tinynas-w0.2@48")]
    ranked = rank(grid, sram_bytes=320 * KB, flash_bytes=MB)
    assert [space.name for space in ranked] == ["tinynas-w0.2@48", "tinynas-w0.8@128"]
    assert 0 < len(ranked[1].macs) < FEW
    assert ranked[1].mean_macs > ranked[0].mean_macs


def test_too_little_memory_says_what_is_needed() -> None:
    grid = [spaces.build("tinynas-w0.2@48,64")]
    with pytest.raises(InfeasibleError, match="keeps SRAM in kB <= 10: the least is") as refused:
        rank(grid, sram_bytes=10 * KB, flash_bytes=MB, samples=50)
    enough = int(refused.value.least) * KB
    assert rank(grid, sram_bytes=enough, flash_bytes=MB, samples=50)
    with pytest.raises(InfeasibleError, match="flash in kB"):
        rank(grid, sram_bytes=MB, flash_bytes=10 * KB, samples=50)


def test_flash_that_is_needed_is_that_of_networks_that_keep_the_sram() -> None:
    """Networks of small images fit the SRAM, networks of a small width the flash, and none both."""
    grid = [spaces.build("tinynas-w0.2@224"), spaces.build("tinynas-w0.5@48")]
    with pytest.raises(InfeasibleError, match=r"keeps flash in kB <= 350: the least is") as refused:
        rank(grid, sram_bytes=100 * KB, flash_bytes=350 * KB, samples=50)
    assert refused.value.least > 350
    assert rank(grid, sram_bytes=100 * KB, flash_bytes=int(refused.value.least) * KB, samples=50)


@pytest.mark.parametrize(
    "arguments",
    [{"samples": 0}, {"sram_bytes": 0}, {"flash_bytes": -1}, {"top": 0.0}, {"top": 1.0}, {"spaces": []}],
    ids=str,
)
def test_what_cannot_be_ranked_is_refused(arguments: dict[str, object]) -> None:
    whole = {"spaces": [TINY["tinynas-w0.3@48"]], "sram_bytes": MB, "flash_bytes": MB, **arguments}
    with pytest.raises(UsageError, match="cannot rank"):
        rank(**whole)  # type: ignore[arg-type]


# -- the picture ------------------------------------------------------------------------------------------


def drawn() -> list[DesignSpace]:
    spaces_ = [DesignSpace(f"s{i}", 20, np.arange(10 + i) * 10**6, 1, 1) for i in range(12)]
    return [*spaces_, DesignSpace("none", 20, np.array([], np.int64), 1, 1)]


def test_a_picture_of_the_distributions_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    save_cdfs(drawn(), tmp_path / "cdf.png", title="320 kB")
    content = (tmp_path / "cdf.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_pictures_that_cannot_be_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match="cannot be written"):
        save_cdfs(drawn(), tmp_path / "nowhere" / "cdf.png")
    with pytest.raises(UsageError, match="no design space"):
        save_cdfs(drawn()[-1:], tmp_path / "cdf.png")


def test_without_matplotlib_the_command_for_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError) as refused:
        save_cdfs(drawn(), tmp_path / "cdf.png")
    assert refused.value.hint == "pip install 'lutra[plots]'"
