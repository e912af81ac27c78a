"""Stand-ins for activations, and nodes replayed on them."""

import pytest

from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.lowering import Kernel, lower

torch = pytest.importorskip("torch")

from lutra.profiler.runtimes.torch_replay import replayed, whole  # noqa: E402
from lutra.profiler.runtimes.torch_tensors import Activations, draw  # noqa: E402


def conv() -> Kernel:
    b = NetworkBuilder("conv")
    (kernel,) = lower(b.build(b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=3)), "torch").kernels
    return kernel


def test_kernels_share_buffers_and_the_producer_rewrites_them() -> None:
    activations = Activations(seed=0)
    small, rewrite = activations.stand_in(0, TensorType((2, 3)), None)
    large, _ = activations.stand_in(0, TensorType((1000,)), None)
    rewrite()
    before = small.clone()
    assert large.data_ptr() == small.data_ptr()
    large.fill_(float("nan"))
    rewrite()
    assert torch.equal(small, before)


@pytest.mark.parametrize("strides", [(4, 1, 2), (0, 0, 1), (1, 8, 2)])
def test_a_stand_in_has_the_strides_of_what_it_stands_for(strides: tuple[int, ...]) -> None:
    tensor, rewrite = Activations(seed=0).stand_in(0, TensorType((2, 2, 2)), strides)
    rewrite()
    assert tensor.stride() == strides
    assert torch.isfinite(tensor).all()


def test_whole_numbers_are_valid_indices_and_masks_hide_nothing() -> None:
    activations = Activations(seed=0)
    index, _ = activations.stand_in(0, TensorType((3,), "int64"), None)
    mask, _ = activations.stand_in(1, TensorType((3,), "bool"), None)
    assert index.tolist() == [0, 0, 0]
    assert mask.all()


def test_where_it_matters_stand_ins_are_well_above_zero() -> None:
    b = NetworkBuilder("root")
    (kernel,) = lower(b.build(b.op("sqrt", b.input((1, 50)))), "torch").kernels
    tensors, rewrite = Activations(seed=0).stand_ins(kernel)
    rewrite()
    assert all(tensor.min() >= 0.5 for tensor in tensors.values())


def test_one_call_runs_one_copy() -> None:
    prepared = replayed(conv(), 3, 0, Activations(seed=0))
    prepared.runnable.before()
    prepared.runnable.run()
    assert prepared.executions == 1
    assert prepared.finite()


def test_a_network_that_computes_nan_is_not_finite() -> None:
    b = NetworkBuilder("x")
    network = b.build(b.op("relu", b.input((1, 4))))
    assert whole(lambda x: x, network, Activations(seed=0)).finite()
    assert not whole(lambda x: x / 0 * 0, network, Activations(seed=0)).finite()


def test_drawn_weights_have_the_strides_asked_for() -> None:
    drawn = draw(TensorType((4, 3, 2, 2)), (12, 1, 6, 3), torch.Generator().manual_seed(0))
    assert drawn.is_contiguous(memory_format=torch.channels_last)
    assert (draw(TensorType((9,)), None, torch.Generator()) >= 0.5).all()
