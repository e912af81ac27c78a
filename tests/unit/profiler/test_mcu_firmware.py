"""The shipped int8 kernels: bit for bit what numpy computes, on every core, for any shape that their kinds take."""

import hashlib
import importlib.util
import json
import re
import struct
import subprocess
import sys
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lutra.networks.errors import CorruptModelError, NotSupportedError, ShapeError, UnknownNameError, UnsupportedOpError
from lutra.profiler._native import mcu
from lutra.profiler.mcu import geometry
from lutra.profiler.mcu.entry import FIELDS, IN_PLACE, STACK_BYTES, MemoryMap, Region, place, run, supported_kinds
from lutra.profiler.mcu.geometry import KINDS, Geometry
from lutra.profiler.mcu.image import CORES, extent, moved, shipped_image
from lutra.profiler.mcu.operands import Operands, Scaling, random_operands, softmax_table
from lutra.profiler.mcu.reference import compute, requantise

ROOT = Path(__file__).resolve().parents[3]
FLASH, RAM = Region(0x08000000, 128 * 1024), Region(0x20000000, 64 * 1024)
CYCLE_LIMIT = 50_000_000


def machine(core: str) -> "mcu.Machine":
    """A machine without wait states."""
    name = core if core == "rv32imc" else f"cortex-{core}"
    flash = {"base": FLASH.base, "size": FLASH.size, "wait_states": 0, "line_bytes": 32}
    ram = [{"base": RAM.base, "size": RAM.size, "tcm": True}]
    return mcu.Machine(shipped_image(core), {"core": name, "flash": flash, "ram": ram})


def memory(core: str) -> MemoryMap:
    return MemoryMap.behind(extent(shipped_image(core))[1], FLASH, [RAM])


def check(core: str, op: Geometry, operands: Operands) -> None:
    """The output is numpy's, whatever lies around the operands, and nothing but output, scratch and stack changes."""
    garbage = np.random.default_rng(0).integers(0, 256, RAM.size, dtype=np.uint8)
    simulated = machine(core)
    simulated.write(RAM.base, garbage.tobytes())
    found = run(simulated, op, operands, memory(core), cycle_limit=CYCLE_LIMIT)
    np.testing.assert_array_equal(found.output, compute(op, operands))
    placed = place(op, operands, memory(core))
    expected, after = garbage, np.frombuffer(simulated.read(RAM.base, RAM.size), np.uint8)
    for address, data in placed.writes:
        if RAM.base <= address < RAM.base + RAM.size:
            expected[address - RAM.base : address - RAM.base + len(data)] = np.frombuffer(data, np.uint8)
    changed = np.flatnonzero(expected[:-STACK_BYTES] != after[:-STACK_BYTES]) + RAM.base
    words = dict(zip(FIELDS, np.frombuffer(dict(placed.writes)[placed.block], np.uint32).tolist(), strict=True))
    mine = [(placed.output, op.output_bytes), (words["scratch"], op.scratch_bytes)]
    assert all(any(start <= address < start + count for start, count in mine) for address in changed)


sizes = st.integers(1, 9)
channels = st.integers(1, 19)
images = st.tuples(sizes, sizes, channels)
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: st.DrawFn, kind: str) -> Geometry:
    image, kernel_size, stride = draw(images), draw(kernels), draw(strides)
    groups, filters = 1, draw(st.integers(1, 9))
    if kind == "pointwise":
        kernel_size = stride = (1, 1)
    elif kind == "conv2d_3x3" or (kind == "depthwise" and draw(st.booleans())):
        kernel_size = (3, 3)
    elif kind == "conv2d_first":
        image = (*image[:2], draw(st.integers(1, 4)))
    elif kind == "grouped_conv2d":
        groups = draw(st.integers(1, 4))
        image, filters = (*image[:2], groups * draw(st.integers(1, 6))), groups * draw(st.integers(1, 5))
    elif kind == "depthwise_chw":
        side, step = draw(st.sampled_from([3, 5, 7])), draw(st.integers(1, 2))
        kernel_size, stride = (side, side), (step, step)
    if kind in geometry.DEPTHWISE:
        filters = image[2]
    padding = (0, 0, 0, 0)
    if kind != "pointwise":
        side = st.integers(0, max(kernel_size) - 1)
        padding = draw(st.just(geometry.same_padding(image, kernel_size, stride)) | st.tuples(side, side, side, side))
    try:
        return geometry.convolution(
            kind, image, filters, kernel_size=kernel_size, stride=stride, padding=padding, groups=groups
        )
    except ShapeError:
        assume(False)
        raise


@st.composite
def pools(draw: st.DrawFn, kind: str) -> Geometry:
    kernel_size = draw(kernels)
    padding = tuple(draw(st.integers(0, kernel_size[side % 2] - 1)) for side in range(4))
    try:
        return geometry.pool(kind, draw(images), kernel_size=kernel_size, stride=draw(strides), padding=padding)
    except ShapeError:
        assume(False)
        raise


def geometries(kind: str) -> st.SearchStrategy[Geometry]:
    """Shapes that a kind takes."""
    pads = st.tuples(*4 * [st.integers(0, 3)])
    return {
        **{name: convolutions(name) for name in geometry.CONVOLUTIONS},
        "fully_connected": st.builds(geometry.fully_connected, st.integers(1, 70), st.integers(1, 20)),
        "avg_pool": pools("avg_pool"),
        "max_pool": pools("max_pool"),
        "global_pool": st.builds(geometry.global_reduction, st.just("global_pool"), images),
        "mean": st.builds(geometry.global_reduction, st.just("mean"), images),
        "add": st.builds(geometry.elementwise, st.just("add"), images),
        "table": st.builds(geometry.elementwise, st.just("table"), images),
        "softmax": st.builds(geometry.elementwise, st.just("softmax"), images),
        "concat": st.builds(lambda image, more: geometry.concat(image, image[2] + more), images, st.integers(0, 9)),
        "channel_shuffle": st.builds(
            lambda image, groups: geometry.channel_shuffle((*image[:2], groups * image[2]), groups),
            images,
            st.integers(1, 4),
        ),
        "pad": st.builds(geometry.pad, images, pads),
    }[kind]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_kernels_compute_what_numpy_does(core, kind, data, seed):
    op = data.draw(geometries(kind))
    check(core, op, random_operands(op, np.random.default_rng(seed)))


@pytest.mark.parametrize("core", ["m0plus", "m4", "rv32imc"])
@pytest.mark.parametrize("extreme", [-128, 127])
def test_kernels_at_the_ends_of_int8(core, extreme):
    op = geometry.convolution("conv2d", (5, 5, 7), 3, kernel_size=(3, 3), padding=(1, 1, 1, 1))
    operands = Operands(
        np.full((5, 5, 7), extreme, np.int8),
        weights=np.full((3, 3, 3, 7), -128, np.int8),
        bias=np.array([-(2**20), 0, 2**20], np.int32),
        multiplier=np.array([2**30, 2**31 - 1, 2**30], np.int32),
        shift=np.array([3, 0, -12], np.int32),
        scaling=Scaling(input_offset=128, output_offset=-128),
    )
    check(core, op, operands)


@given(st.integers(-(2**30) + 1, 2**30 - 1), st.integers(2**30, 2**31 - 1), st.integers(-30, 0))
def test_rescaling_is_within_a_half_of_exact(value, multiplier, shift):
    exact = value * multiplier / 2.0**31 * 2.0**shift
    assert abs(int(requantise(np.array(value), multiplier, shift)) - exact) <= 0.5 + 0.5 * 2.0**shift + 1e-6


def test_rescaling_rounds_halves_away_from_zero():
    halves = np.array([-6, -2, 2, 6])
    assert requantise(halves, 2**30, -1).tolist() == [-2, -1, 1, 2]


def test_a_softmax_table_makes_shares_that_add_up():
    op = geometry.elementwise("softmax", (1, 1, 10))
    operands = Operands(np.arange(-50, 50, 10, dtype=np.int8).reshape(1, 1, 10), weights=softmax_table(0.05))
    shares = (compute(op, operands).astype(int) + 128) / 256
    logits = 0.05 * operands.input.reshape(10).astype(float)
    exact = np.exp(logits - logits.max())
    np.testing.assert_allclose(shares.reshape(10), exact / exact.sum(), atol=1 / 256)


# --- the block and its placing ---


def test_the_block_is_the_one_that_the_header_declares():
    header = (ROOT / "csrc/mcu/firmware/lutra_op.h").read_text()
    body = re.sub(r"//.*", "", header[header.index("struct lutra_op {") : header.index("};")])
    declared = [name for line in body.split(";") for name in re.findall(r"(\w+)(?=\s*(?:,|$))", line.strip())]
    assert tuple(declared) == FIELDS
    assert len(FIELDS) == 32


def test_every_engine_exports_every_kind():
    for core in CORES:
        assert supported_kinds(machine(core).symbols) == frozenset(KINDS)


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_chw", "add", "softmax"])
def test_nothing_overlaps(kind):
    shape = (6, 6, 8)
    op = (
        geometry.convolution(kind, shape, 8, kernel_size=(3, 3), padding=(1, 1, 1, 1))
        if kind in geometry.CONVOLUTIONS
        else geometry.elementwise(kind, shape)
    )
    placed = place(op, random_operands(op, np.random.default_rng(0)), memory("m4"))
    spans = [(address, address + len(data)) for address, data in placed.writes]
    if kind not in IN_PLACE:
        spans.append((placed.output, placed.output + op.output_bytes))
    spans.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_too_large_an_operand_says_by_how_much():
    op = geometry.elementwise("table", (64, 64, 16))
    with pytest.raises(NotSupportedError, match=r"65536 bytes does not fit into RAM: \d+ bytes are free, \d+ too few"):
        place(op, random_operands(op, np.random.default_rng(0)), memory("m4"))


def test_a_missing_kind_names_the_symbol():
    class Empty:
        symbols: dict[str, int] = {}  # noqa: RUF012

    op = geometry.elementwise("table", (2, 2, 2))
    with pytest.raises(UnsupportedOpError, match="export lutra_table"):
        run(Empty(), op, random_operands(op, np.random.default_rng(0)), memory("m4"), cycle_limit=1)


def test_a_shape_that_a_kernel_refuses_is_an_error():
    op = Geometry("depthwise_chw", 4, 4, 2, 4, 4, 2, 4, 4, 1, 1, 1, 1)
    with pytest.raises(NotSupportedError, match="refused"):
        run(machine("m4"), op, random_operands(op, np.random.default_rng(0)), memory("m4"), cycle_limit=CYCLE_LIMIT)


@pytest.mark.parametrize(
    "make",
    [
        lambda: geometry.convolution("depthwise", (4, 4, 3), 4, kernel_size=(3, 3)),
        lambda: geometry.convolution("conv2d", (4, 4, 4), 4, groups=2),
        lambda: geometry.convolution("grouped_conv2d", (4, 4, 5), 4, groups=2),
        lambda: geometry.convolution("conv2d_3x3", (4, 4, 4), 4, kernel_size=(1, 3)),
        lambda: geometry.convolution("pointwise", (4, 4, 4), 4, stride=(2, 2)),
        lambda: geometry.convolution("depthwise_chw", (4, 4, 4), 4, kernel_size=(4, 4)),
        lambda: geometry.convolution("depthwise_chw", (4, 4, 4), 4, kernel_size=(3, 3), padding=(2, 2, 2, 2)),
        lambda: geometry.convolution("conv2d", (4, 4, 4), 4, kernel_size=(5, 5)),
        lambda: geometry.pool("max_pool", (4, 4, 4), kernel_size=(2, 2), stride=(2, 2), padding=(2, 0, 0, 0)),
        lambda: geometry.elementwise("softmax", (1, 1, 5000)),
        lambda: geometry.concat((4, 4, 4), 3),
        lambda: geometry.channel_shuffle((4, 4, 5), 2),
    ],
)
def test_impossible_shapes_are_refused(make):
    with pytest.raises(ShapeError):
        make()


def test_an_unknown_kind_of_convolution_lists_the_known():
    with pytest.raises(UnknownNameError, match="did you mean: conv2d"):
        geometry.convolution("conv2", (4, 4, 4), 4)


# --- images ---


@pytest.mark.parametrize("base", [0, 0x10000000, 0x42000000])
@pytest.mark.parametrize("core", ["m4", "rv32imc"])
def test_images_run_wherever_they_are_moved(core, base):
    elf = moved(shipped_image(core), base)
    assert extent(elf)[0] == base
    name = core if core == "rv32imc" else f"cortex-{core}"
    flash = Region(base, FLASH.size)
    board = {
        "core": name,
        "flash": {"base": base, "size": FLASH.size, "wait_states": 0, "line_bytes": 32},
        "ram": [{"base": RAM.base, "size": RAM.size, "tcm": True}],
    }
    op = geometry.convolution("depthwise_chw", (6, 6, 3), 3, kernel_size=(5, 5), padding=(2, 2, 2, 2))
    operands = random_operands(op, np.random.default_rng(0))
    here = MemoryMap.behind(extent(elf)[1], flash, [RAM])
    found = run(mcu.Machine(elf, board), op, operands, here, cycle_limit=CYCLE_LIMIT)
    np.testing.assert_array_equal(found.output, compute(op, operands))


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not an ELF file" * 10, shipped_image("m4")[:60]])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(CorruptModelError):
        extent(content)


def test_variables_in_ram_are_refused():
    elf = bytearray(shipped_image("m4"))
    first = int.from_bytes(elf[28:32], "little")
    struct.pack_into("<I", elf, first + 20, extent(shipped_image("m4"))[1])  # more bytes in memory than in the file
    with pytest.raises(NotSupportedError, match="no start-up code is run"):
        extent(bytes(elf))


def test_an_unknown_core_lists_the_known():
    with pytest.raises(UnknownNameError, match="m0plus, m3"):
        shipped_image("cortex-a53x")


def test_the_manifest_describes_the_images():
    manifest = json.loads((files("lutra.profiler.mcu") / "firmware" / "manifest.json").read_text())
    assert set(manifest["images"]) == set(CORES)
    for core, image in manifest["images"].items():
        assert hashlib.sha256(shipped_image(core)).hexdigest() == image["sha256"]
        start, end = extent(shipped_image(core))
        assert end - start == image["text_bytes"] <= 20_000


def _tool():
    spec = importlib.util.spec_from_file_location("firmware_tool", ROOT / "tools" / "firmware.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_differs_from_the_shipped_images_is_named():
    shipped = json.loads((files("lutra.profiler.mcu") / "firmware" / "manifest.json").read_text())
    made = json.loads(json.dumps(shipped))
    assert _tool().differences(made, shipped) == []
    made["images"]["m4"]["sha256"] = "0" * 64
    made["flags"].append("-O3")
    assert _tool().differences(made, shipped) == ["flags differ", "m4.elf differs"]


def test_another_compiler_is_refused_with_the_fix(monkeypatch):
    tool = _tool()
    monkeypatch.setattr(tool, "version", lambda _: "0.15.0")
    with pytest.raises(SystemExit, match=r"found 0\.15\.0; fix: pip install 'ziglang=="):
        tool.require_compiler()


@pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="needs the compiler: pip install 'lutra[firmware]'"
)
def test_the_sources_make_the_shipped_images():
    subprocess.run([sys.executable, "tools/firmware.py", "--check"], cwd=ROOT, check=True)
