"""Supernets and how their positions are mixed: paths, sums, gates; what they compute and what they keep in memory."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from lutra.nas import spaces
from lutra.nas.gradient import Supernet, peak_activation_bytes
from lutra.nas.gradient.mixing import gated, one_path, weighted
from lutra.nas.gradient.supernet import chain_of_positions, statistics_kept
from lutra.nas.gradient.testing import toy_space
from lutra.nas.spaces import ChainSpace
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck, squeeze_excite
from lutra.networks.errors import NotSupportedError, ShapeError
from lutra.networks.exporters import to_torch
from lutra.networks.lowering.blocks import Block, BlockSpace


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 8, 3, stride=2)


def bottleneck(b: NetworkBuilder, x: str, *, kernel: int, expansion: int) -> str:
    return inverted_bottleneck(b, x, 8, mid_channels=8 * expansion, kernel_size=kernel)


def nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def shuffled(b: NetworkBuilder, x: str) -> str:
    return squeeze_excite(b, b.op("channel_shuffle", x, groups=2), 4)


def reshaped(b: NetworkBuilder, x: str) -> str:
    return b.op("reshape", x, shape=b.shape(x))


def head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


SEVEN: tuple[Block, ...] = (
    *(partial(bottleneck, kernel=kernel, expansion=expansion) for kernel in (3, 5, 7) for expansion in (3, 6)),
    nothing,
)


def chain(*positions: tuple[Block, ...], side: int = 16) -> BlockSpace:
    return BlockSpace("chain", TensorType((1, 3, side, side)), stem, positions, head)


def images(count: int = 4, side: int = 16) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def scaled(net: Supernet) -> Supernet:
    """The supernet with scales of batch norms that are not 0."""
    for name, value in net.named_parameters():
        if "norm" in name and name.endswith("weight"):
            nn.init.uniform_(value, 0.5, 1.5)
    return net


def test_blocks_with_a_shortcut_begin_by_doing_nothing() -> None:
    net = Supernet(chain(SEVEN, SEVEN))
    with statistics_kept(net):
        paths = [net(images(), one_path(path)) for path in ([6, 6], [0, 6], [5, 3])]
    assert torch.equal(paths[0], paths[1])
    assert torch.equal(paths[0], paths[2])


def test_a_path_computes_what_the_decoded_network_does() -> None:
    space = ChainSpace("chain", [chain(SEVEN, SEVEN, (shuffled, nothing))])
    net = scaled(Supernet(space.chains()[0])).eval()
    for code in space.sample(5, np.random.default_rng(0)):
        alone = to_torch(space.decode(code)).eval()
        taken = [net.stem, *(c[i] for c, i in zip(net.positions, code, strict=True)), net.head]
        layers = [step.module for part in taken for step in part.steps]
        for step, layer in zip(alone.steps, layers, strict=True):
            step.module.load_state_dict(layer.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(net(images(), one_path(code.tolist())), alone(images()), rtol=1e-4, atol=1e-5)


def test_a_sum_with_one_weight_is_a_path() -> None:
    net = scaled(Supernet(chain(SEVEN, SEVEN)))
    weights = [torch.eye(7)[2], torch.eye(7)[6]]
    with statistics_kept(net):
        torch.testing.assert_close(net(images(), weighted(weights)), net(images(), one_path([2, 6])))


def test_the_seed_decides_the_weights_and_torchs_own_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (Supernet(chain(SEVEN), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    first, second, third = (next(net.parameters()) for net in (one, same, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_statistics_are_kept_only_inside() -> None:
    net = Supernet(chain(SEVEN)).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with statistics_kept(net):
        assert net.training
        net(images(), one_path([0]))
    assert not net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.train()(images(), one_path([0]))
    assert any(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


# -- gates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("active", [0, 5, 6])
def test_gates_have_the_gradient_of_a_sum_over_all_candidates(active: int) -> None:
    """dL/dg_j = <dL/dy, o_j(x)>, as automatic differentiation has it when all candidates are computed and kept."""
    net = scaled(Supernet(chain(SEVEN, SEVEN))).double()
    x, one_hot = images().double(), torch.eye(7, dtype=torch.double)
    drawn = [[active, *(i for i in range(7) if i != active)], [3, 6, 0]]
    whole = [one_hot[active].clone().requires_grad_(), one_hot[3].clone().requires_grad_()]
    gates = [gate.detach().clone().requires_grad_() for gate in whole]
    with statistics_kept(net):
        expected = net(x, weighted(whole)).square().sum()
        found = net(x, gated(gates, drawn)).square().sum()
        torch.testing.assert_close(found, expected)
        wanted, got = torch.autograd.grad(expected, whole), torch.autograd.grad(found, gates)
    torch.testing.assert_close(got[0], wanted[0])
    torch.testing.assert_close(got[1][[3, 6, 0]], wanted[1][[3, 6, 0]])
    assert (got[1][[1, 2, 4, 5]] == 0).all()


def test_gates_let_the_gradient_through_to_what_is_before_them() -> None:
    net = scaled(Supernet(chain(SEVEN, SEVEN, SEVEN))).double()
    path, x = [1, 6, 4], images().double()
    gates = [torch.zeros(7, dtype=torch.double, requires_grad=True) for _ in path]
    stem_weight = next(net.stem.parameters())
    with statistics_kept(net):
        (wanted,) = torch.autograd.grad(net(x, one_path(path)).square().sum(), stem_weight)
        through = net(x, gated(gates, [[i] for i in path])).square().sum()
        (got,) = torch.autograd.grad(through, stem_weight)
    torch.testing.assert_close(got, wanted)


def test_softmax_turns_gradients_of_gates_into_the_papers() -> None:
    """dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i): ProxylessNAS, equation 4."""
    from lutra.nas.gradient.proxyless import straight_through

    alpha = torch.randn(7, dtype=torch.double, generator=torch.Generator().manual_seed(1)).requires_grad_()
    of_gates = torch.randn(7, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    p = alpha.softmax(0)
    gates = straight_through(torch.eye(7, dtype=torch.double)[4], p)
    assert gates.detach().tolist() == [0, 0, 0, 0, 1, 0, 0]
    (found,) = torch.autograd.grad(gates @ of_gates, alpha)
    p = p.detach()
    torch.testing.assert_close(found, p * (of_gates - of_gates @ p))


# -- what cannot be a supernet ----------------------------------------------------------------------------


def test_spaces_that_are_no_such_chain_are_refused() -> None:
    assert chain_of_positions(toy_space()).name == "toy-chain"
    with pytest.raises(NotSupportedError, match="one size") as several:
        chain_of_positions(spaces.build("proxyless@32,64"))
    assert "proxyless@N, N one of 32, 64" in str(several.value)
    for name in ("ofa-mbv3@128", "nasbench201"):
        with pytest.raises(NotSupportedError, match="no chain with one decision for each position"):
            chain_of_positions(spaces.build(name))


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="position 1 of a supernet fixes the number of images, by reshape"):
        Supernet(chain(SEVEN, (reshaped,)))
    with pytest.raises(ShapeError, match="candidates of position 0 make different tensors"):
        Supernet(chain((nothing, stem)))


# -- memory -----------------------------------------------------------------------------------------------


def test_the_peak_is_that_of_tensors_that_live_at_once() -> None:
    def one_after_the_other() -> None:
        for _ in range(3):
            torch.zeros(1000)

    def all_at_once() -> list[Tensor]:
        made = [torch.zeros(1000) for _ in range(3)]
        return [*made, *(tensor.view(10, 100)[3:] for tensor in made)]  # views have no memory of their own

    before = torch.zeros(1000)
    assert peak_activation_bytes(one_after_the_other) == 4000
    assert peak_activation_bytes(all_at_once) == 12_000
    assert peak_activation_bytes(lambda: before.add_(1)) == 0


def test_the_peak_counts_what_the_backward_pass_keeps() -> None:
    layers = nn.Sequential(*(nn.Sigmoid() for _ in range(10)))  # each keeps its output
    x = torch.zeros(1000)
    assert peak_activation_bytes(lambda: layers(x)) == 8000  # an input and an output
    with_gradient = peak_activation_bytes(lambda: layers(x.clone().requires_grad_()).sum().backward())
    assert with_gradient == pytest.approx(4 * (10 + 2) * 1000, rel=0.01)  # and two gradients at a time


def test_one_path_is_in_memory_where_a_sum_has_all() -> None:
    net = Supernet(chain(*[SEVEN] * 6, side=32))
    x = images(16, 32)
    gates = [torch.full((7,), 1 / 7, requires_grad=True) for _ in range(6)]

    def peak(mix: object) -> int:
        with statistics_kept(net):
            return peak_activation_bytes(lambda: torch.autograd.grad(net(x, mix).sum(), gates, allow_unused=True))

    rng = np.random.default_rng(0)
    paths = [rng.permutation(7)[None].repeat(6, 0) for _ in range(5)]
    with statistics_kept(net):
        alone = [peak_activation_bytes(lambda p=p: net(x, one_path(p[:, 0].tolist())).sum().backward()) for p in paths]
    one = float(np.mean(alone))
    two = float(np.mean([peak(gated(gates, p[:, :2].tolist())) for p in paths]))
    all_gates = float(np.mean([peak(gated(gates, p.tolist())) for p in paths]))
    assert two < 1.3 * one
    assert all_gates < 1.5 * one
    assert peak(weighted(gates)) > 4 * one
