"""Memory of networks on microcontrollers: arenas, engines' figures, and whether it fits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder, zoo
from lutra.networks.lowering import lower
from lutra.networks.lowering.mcu_memory import peak_arena, plan_memory
from lutra.profiler.mcu.boards import board_of, boards
from lutra.profiler.mcu.engines import ENGINES, LEAN, TFLM_LIKE
from lutra.profiler.mcu.fit import fit


def lowered(name):
    return lower(zoo.build(name), "mcu", precision="int8")


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("name", [*zoo.names("mcunet*"), *zoo.names("mlperf_tiny*"), "mobilenet_v2", "resnet18"])
def test_arenas_are_those_of_the_network(name, inplace):
    """The planner on layers and the one on ops agree: two ways to one number."""
    network = zoo.build(name)
    arena = peak_arena(lower(network, "mcu", precision="int8").kernels, inplace_depthwise=inplace)
    assert arena.bytes == network.peak_activation_bytes("int8", inplace_depthwise=inplace)


TINYENGINE_BYTES = {"mcunet_vww0": 60_800, "mcunet_vww1": 93_992}
"""``PEAK_MEM`` of headers that TinyEngine generated."""

TINYENGINE_KB = {
    "mcunet_vww0": (59, 453),
    "mcunet_vww1": (92, 521),
    "mcunet_vww2": (174, 741),
    "mcunet_in0": (49, 842),
    "mcunet_in1": (96, 727),
    "mcunet_in2": (215, 830),
    "mcunet_in3": (260, 835),
    "mcunet_in4": (416, 1825),
}
"""SRAM and flash on an STM32H743 (TinyEngine's README)."""


@pytest.mark.parametrize(("name", "peak_bytes"), TINYENGINE_BYTES.items())
def test_lean_sram_is_tinyengines_to_the_byte(name, peak_bytes):
    assert plan_memory(lowered(name), LEAN.memory).sram_bytes == peak_bytes


@pytest.mark.parametrize(("name", "figures"), TINYENGINE_KB.items())
def test_lean_figures_are_tinyengines(name, figures):
    memory = plan_memory(lowered(name), LEAN.memory)
    assert round(memory.sram_bytes / 1024) == figures[0]
    assert abs(memory.flash_bytes / 1024 - figures[1]) < 0.005 * figures[1]


def test_int4_halves_weights_and_activations():
    eight, four = (plan_memory(lowered("mcunet_in3"), LEAN.memory, dtype=dtype) for dtype in ("int8", "int4"))
    assert four.weight_bytes * 2 == eight.weight_bytes
    assert four.arena.bytes * 2 == eight.arena.bytes
    assert four.channel_bytes == eight.channel_bytes


def test_engines_differ_in_place():
    lean, tflm = (plan_memory(lowered("mcunet_in3"), engine.memory) for engine in (LEAN, TFLM_LIKE))
    assert (lean.plain, lean.inplace) == (tflm.plain, tflm.inplace)
    assert lean.arena == lean.inplace
    assert tflm.arena == tflm.plain


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_an_arena_is_at_least_every_layers_own(blocks):
    b = NetworkBuilder("random")
    x = b.input((1, 4, 12, 12))
    for channels, depthwise, skip in blocks:
        y = b.op("conv2d", x, out_channels=channels, kernel_size=1)
        if depthwise:
            y = b.op("conv2d", y, out_channels=channels, kernel_size=3, padding=1, groups=channels)
        x = b.op("add", y, b.op("relu", y)) if skip else y
    kernels = lower(b.build(x), "mcu", precision="int8").kernels
    plain = peak_arena(kernels, inplace_depthwise=False).bytes
    inplace = peak_arena(kernels, inplace_depthwise=True).bytes
    assert inplace <= plain
    for kernel in kernels:
        if kernel.nodes[0].op in ("pointwise", "conv2d"):
            assert inplace >= kernel.inputs[0][1].nbytes + kernel.outputs[0][1].nbytes


def test_what_fits_says_so():
    found = fit(lowered("mcunet_in0"), board_of("stm32f746"), LEAN, [])
    assert found.fits
    assert str(found).endswith("fits")
    assert found.would_fit == ()


def test_what_does_not_fit_says_by_how_much_and_what_would():
    found = fit(lowered("mcunet_in3"), board_of("stm32f412"), TFLM_LIKE, boards().values())
    assert not found.fits
    assert found.ram_over_bytes == found.memory.sram_bytes - 256 * 1024
    assert found.flash_over_bytes == found.memory.flash_bytes - 1024 * 1024
    assert "stm32h743" in found.would_fit
    assert "stm32f412" not in found.would_fit
    text = str(found)
    assert "DOES NOT FIT" in text
    assert found.memory.arena.layer in text
    assert f"{found.ram_over_bytes / 1024:.0f} kB of SRAM too much" in text


def test_advice_is_true():
    found = fit(lowered("mcunet_in3"), board_of("stm32f746"), TFLM_LIKE, boards().values())
    assert "engine lean" in found.would_fit
    assert fit(lowered("mcunet_in3"), board_of("stm32f746"), ENGINES["lean"], []).fits
    for name in found.would_fit:
        if name in boards():
            assert fit(lowered("mcunet_in3"), board_of(name), TFLM_LIKE, []).fits
