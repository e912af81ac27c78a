"""The number of copies in a sample."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks import TensorType
from lutra.networks.errors import MeasurementError
from lutra.networks.lowering import Kernel
from lutra.networks.lowering.kernel import KernelNode
from lutra.profiler.copies import ROTATED_BYTES, choose_copies, require_memory, typical_run_ns


def test_enough_copies_to_turn_the_caches_over() -> None:
    assert choose_copies(4 << 20, 100_000) * (4 << 20) == ROTATED_BYTES


def test_small_weights_get_the_most_copies() -> None:
    assert choose_copies(10_000, 10_000) == 64


def test_kernels_without_weights_get_few() -> None:
    assert choose_copies(0, 10_000) == 8


def test_long_kernels_get_as_many_as_fit_into_a_sample() -> None:
    assert choose_copies(1 << 20, 1_000_000) == 8
    assert choose_copies(1 << 20, 100_000_000) == 4


@given(st.integers(0, 1 << 40), st.integers(0, 10**12))
def test_never_none_and_never_more_memory_than_allowed(weight_bytes: int, run_ns: int) -> None:
    copies = choose_copies(weight_bytes, run_ns)
    assert 1 <= copies <= 64
    assert copies == 1 or copies * weight_bytes <= 1 << 30


def test_the_number_follows_from_the_costs() -> None:
    assert typical_run_ns(3_200_000, 8_000) == 100_000
    assert typical_run_ns(100, 8_000_000) == 1_000_000


def huge(side: int) -> Kernel:
    return Kernel(
        runtime="null",
        nodes=(KernelNode("relu", "", (), ("x",), ("y",)),),
        inputs=(("x", TensorType((1, side, side, side))),),
        constants=(),
        outputs=(("y", TensorType((1, side, side, side))),),
        macs=0,
        bytes_moved=0,
        label="Relu of a giant",
    )


def test_what_does_not_fit_into_memory_is_refused_before_it_is_allocated() -> None:
    require_memory(huge(8), 64)
    with pytest.raises(MeasurementError, match=r"Relu of a giant needs 8000\.0 GiB of memory") as caught:
        require_memory(huge(10_240), 1)
    assert "batch size" in str(caught.value.hint)
