"""Scores without training: definitions by hand on small networks, published values, graphs made ready."""

import csv
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from lutra.nas.accuracy import _registry, estimator_class, ranks, register  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.zero_shot import (  # noqa: E402
    AzNas,
    Fisher,
    GradNorm,
    GradSign,
    Grasp,
    Jacov,
    LogSynflow,
    Naswot,
    Snip,
    Zen,
)
from lutra.nas.accuracy.zero_shot._graphs import (  # noqa: E402
    reads_its_input,
    trunk,
    without_norms,
    without_shortcuts,
)
from lutra.nas.accuracy.zero_shot._modules import fresh, labelled, layer_weights  # noqa: E402
from lutra.nas.accuracy.zero_shot.az import _entropy, _spectral_norm, block_outputs, put_together  # noqa: E402
from lutra.nas.testing import small_classifier, unreachable_classifier  # noqa: E402
from lutra.networks import Network, NetworkBuilder, zoo  # noqa: E402
from lutra.networks.errors import UnknownNameError, UsageError  # noqa: E402

NET = small_classifier(4, 2)


def plain(*, batch: int = 1) -> Network:
    """A 1x1 convolution, a rectifier and a classifier, without biases and norms."""
    b = NetworkBuilder("plain")
    x = b.op("conv2d", b.input((batch, 3, 4, 4)), name="conv", out_channels=5, kernel_size=1, bias=False)
    x = b.op("flatten", b.op("global_avg_pool2d", b.op("relu", x)))
    return b.build(b.op("linear", x, name="head", out_features=10, bias=False))


def batch_of(estimator, network):
    """The module with the estimator's weights, and the images and labels that it looks at."""
    return fresh(network, estimator.seed), *labelled(
        network, estimator.batch, estimator.images, torch.Generator().manual_seed(estimator.seed)
    )


def score(estimator, network) -> float:
    scores = estimator.estimate([network])
    assert scores.failures == (None,)
    return float(scores.values[0])


# -- definitions ------------------------------------------------------------------------------------------


def test_synflow_is_the_flow_of_absolute_weights():
    weights = [w.detach().double() for w in layer_weights(fresh(plain(), 0), plain())]
    conv, head = weights[0].abs().reshape(5, 3), weights[1].abs()
    # Each layer carries the whole flow: an image of ones is sum_c of |conv| at every position, averaged to itself.
    flow = float((head @ conv).sum())
    assert score(LogSynflow(), plain()) == pytest.approx(math.log(2 * flow))


def test_naswot_counts_units_on_which_images_agree():
    estimator = Naswot(batch=6)
    module, images, _ = batch_of(estimator, plain())
    codes = (module.get_submodule("conv")(images).flatten(1) > 0).numpy()
    kernel = [[np.sum(a == b) for b in codes] for a in codes]
    assert score(estimator, plain()) == pytest.approx(np.linalg.slogdet(np.array(kernel, float))[1], rel=1e-6)


def test_gradsign_of_equal_images_counts_every_gradient_as_often_as_there_are_images():
    same = digits(8).subset([5] * 7)
    b = NetworkBuilder("one layer")
    network = b.build(b.op("linear", b.op("flatten", b.input((1, 3, 8, 8))), out_features=10))
    module, images, labels = batch_of(GradSign(images=same, batch=7), network)
    (gradient,) = torch.autograd.grad(
        cross_entropy(module(images[:1]), labels[:1]), [module.get_submodule("linear").weight]
    )
    assert score(GradSign(images=same, batch=7), network) == 7 * int((gradient != 0).sum())
    assert score(GradSign(images=digits(8), batch=7), network) < 7 * 10 * 192


def test_gradient_scores_are_those_of_the_loss():
    for estimator in (GradNorm(batch=4), Snip(batch=4)):
        module, images, labels = batch_of(estimator, plain())
        weights = layer_weights(module, plain())
        if isinstance(estimator, Snip):
            random = torch.Generator().manual_seed(0)
            for weight in weights:
                torch.nn.init.xavier_normal_(weight, generator=random)
        cross_entropy(module(images), labels).backward()
        if isinstance(estimator, GradNorm):
            expected = sum(float(w.grad.square().sum().sqrt()) for w in weights)
        else:
            expected = sum(float((w.detach() * w.grad).abs().sum()) for w in weights)
        assert score(estimator, plain()) == pytest.approx(expected, rel=1e-5)


def test_grasp_is_how_the_norm_of_the_gradient_falls_with_the_weights():
    """Along the weights w, d/de |g(w + e w)|² / 2 = w H g, here by a difference in float64."""
    estimator = Grasp(batch=4)
    module, images, labels = batch_of(estimator, plain())
    images, start = images.double(), [p.detach().clone() for p in module.double().parameters()]

    def half_square(step: float) -> float:
        with torch.no_grad():
            for parameter, value in zip(module.parameters(), start, strict=True):
                parameter.copy_(value * (1 + step))
        gradients = torch.autograd.grad(cross_entropy(module(images), labels), list(module.parameters()))
        return sum(float(g.square().sum()) for g in gradients) / 2

    slope = (half_square(1e-4) - half_square(-1e-4)) / 2e-4
    assert score(estimator, plain()) == pytest.approx(-slope, rel=1e-3)


def test_fisher_is_half_the_square_of_what_a_channel_does_to_the_loss():
    estimator = Fisher(batch=4)
    module, images, labels = batch_of(estimator, plain())
    masks = [torch.ones(4, 5, 1, 1, requires_grad=True), torch.ones(4, 10, requires_grad=True)]
    for name, mask in zip(("conv", "head"), masks, strict=True):
        module.get_submodule(name).register_forward_hook(lambda _, __, output, mask=mask: output * mask)
    gradients = torch.autograd.grad(cross_entropy(module(images), labels), masks)
    assert score(estimator, plain()) == pytest.approx(
        sum(float(g.square().mean(dim=0).sum()) / 2 for g in gradients), rel=1e-5
    )


def test_jacov_is_largest_where_images_do_not_correlate():
    estimator = Jacov(batch=5)
    module, images, _ = batch_of(estimator, NET)
    (jacobian,) = torch.autograd.grad(module(images.requires_grad_()).sum(), images)
    values = np.linalg.eigvalsh(np.corrcoef(jacobian.flatten(1).numpy())) + 1e-5
    assert score(estimator, NET) == pytest.approx(-np.sum(np.log(values) + 1 / values), rel=1e-3)
    assert score(estimator, NET) <= -5.0  # each eigenvalue costs at least 1, at v = 1


def test_zen_adds_what_norms_take_away():
    """With weights scaled by any factor, the norms' variances carry it, and the score of one layer and norm rises."""
    b = NetworkBuilder("one norm")
    x = b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=8, kernel_size=3, bias=False)
    network = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", b.op("batch_norm", x))), out_features=2))
    # One norm: log of mean |conv(0.01 n)| summed, since scale and variance cancel: 0.01 sqrt(27) sqrt(2 / pi) 8 14².
    assert score(Zen(batch=64), network) == pytest.approx(
        math.log(0.01 * math.sqrt(27) * math.sqrt(2 / math.pi) * 8 * 14**2), abs=0.05
    )


def test_zen_of_resnet18_is_the_published_one():
    """59.53 in the paper, 59.55 with exact variances and 70.16 with shortcuts; also tests/slow for deeper ones."""
    assert score(Zen(), zoo.build("resnet18")) == pytest.approx(59.55, rel=0.01)


def test_zen_of_a_dead_norm_is_none():
    dead = zoo.build("nasbench201/|none~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    scores = Zen(shortcuts=True).estimate([dead])
    assert (np.isnan(scores.values).all(), scores.failures) == (True, ("a batch norm of it sees nothing but zeros",))


def test_scores_of_cells_are_those_computed_elsewhere(shared_data):
    with (shared_data / "nasbench201" / "proxy_recompute_400.csv").open() as file:
        rows = list(csv.DictReader(file))[:6]
    networks = [zoo.build(f"nasbench201/{row['arch_str']}") for row in rows]
    synflow = LogSynflow().estimate(networks).values
    assert synflow == pytest.approx([float(row["synflow_pt"]) for row in rows], abs=0.4)
    naswot = Naswot().estimate(networks[:2]).values
    assert naswot == pytest.approx([float(row["nwot_noise"]) for row in rows[:2]], abs=3)
    signs = GradSign().estimate(networks[:1]).values
    assert signs == pytest.approx([float(rows[0]["gradsign_noise"])], rel=0.05)


# -- ranks put together -----------------------------------------------------------------------------------


def test_ranks_begin_with_one_and_are_shared():
    assert ranks(np.array([3.0, -np.inf, 3.0, 7.0])).tolist() == [2.5, 1.0, 2.5, 4.0]
    columns = [np.array([1.0, 2.0, 3.0]), np.array([3.0, np.nan, 2.0])]
    expected = [math.log(1 / 3) + math.log(3 / 3), math.log(2 / 3) + math.log(1 / 3), math.log(3 / 3) + math.log(2 / 3)]
    assert put_together(columns) == pytest.approx(expected)


def test_blocks_end_where_one_tensor_passes_on():
    for name, count in (("nasbench201/6111", 17), ("resnet18", 8), ("mobilenet_v2", 19)):
        features = trunk(zoo.build(name))
        assert features is not None
        assert len(block_outputs(features)) == count, name
    assert block_outputs(NET) == ("blocks.0.add", "blocks.1.add")
    assert AzNas().estimate([plain()]).failures == ("it has no two blocks before a global average pool",)


def test_entropy_and_spectral_norm_of_known_features():
    random = torch.Generator().manual_seed(0)
    equal = torch.randn(64, 4, 16, 16, generator=random)
    assert _entropy(equal) == pytest.approx(math.log(4), abs=0.01)
    assert _entropy(equal[:, :1].repeat(1, 4, 1, 1)) == pytest.approx(0, abs=1e-6)
    x = torch.randn(64, 6, 8, 8, generator=random, requires_grad=True)
    assert _spectral_norm(x, 3 * x, random) == pytest.approx(3, rel=0.1)
    assert _spectral_norm(x, x[:, :, ::2, ::2], random) == pytest.approx(1, rel=0.2)
    odd = torch.randn(64, 6, 7, 7, generator=random, requires_grad=True)
    assert _spectral_norm(odd, odd[:, :, ::2, ::2], random) == pytest.approx(1, rel=0.2)


def test_parts_tell_networks_apart():
    parts = AzNas().parts(small_classifier(8, 3))
    assert 0 < parts.expressivity <= 3 * math.log(8)
    assert parts.trainability <= 0
    assert parts.complexity == small_classifier(8, 3).macs


# -- graphs -----------------------------------------------------------------------------------------------


def test_graphs_without_norms_and_shortcuts():
    resnet = zoo.build("resnet18", resolution=32)
    counts = without_shortcuts(resnet).op_counts()
    assert "add" not in counts
    assert counts["conv2d"] == 17  # the three projections are gone with their shortcuts
    bare = without_norms(resnet)
    assert "batch_norm" not in bare.op_counts()
    assert bare.op_counts()["add"] == 8
    assert str(bare.types[bare.outputs[0]]) == str(resnet.types[resnet.outputs[0]])
    equal = zoo.build("nasbench201/|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|nor_conv_1x1~1|none~2|")
    assert without_shortcuts(equal).op_counts()["conv2d"] < equal.op_counts()["conv2d"]
    assert not reads_its_input(unreachable_classifier())
    assert reads_its_input(resnet)
    assert trunk(plain()).outputs == ("relu",)


# -- what is refused --------------------------------------------------------------------------------------


def test_images_must_fit_the_network():
    with pytest.raises(
        UsageError, match=r"reads \(3, 16, 16\) and knows 10 classes; images of 'digits' are \(3, 8, 8\)"
    ):
        Naswot(images=digits(8)).estimate([NET])
    assert np.isfinite(Naswot(images=digits(16)).estimate([NET]).values).all()
    with pytest.raises(UsageError, match="3 images are no batch of 32"):
        Naswot(images=digits(16).subset([1, 2, 3])).estimate([NET])
    with pytest.raises(UsageError, match="no size of a batch to compare"):
        Jacov(batch=1)


def test_networks_of_another_form_have_no_score():
    b = NetworkBuilder("tokens")
    tokens = b.build(b.op("linear", b.input((1, 7)), out_features=3))
    assert LogSynflow().estimate([tokens]).failures == ("it does not read one batch of images",)
    b = NetworkBuilder("no rectifier")
    smooth = b.build(b.op("linear", b.op("flatten", b.op("silu", b.input((1, 3, 4, 4)))), out_features=3))
    assert "no rectifiers" in Naswot().estimate([smooth]).failures[0]
    assert "no global average pool" in Zen().estimate([smooth]).failures[0]


def test_a_network_built_for_several_images_keeps_their_number():
    network = plain(batch=6)
    images, labels = labelled(network, 32, None, torch.Generator())
    assert len(images) == len(labels) == 6
    assert np.isfinite(Naswot(batch=32).estimate([network]).values).all()


def test_names_are_unique_and_unknown_ones_are_told(monkeypatch):
    with pytest.raises(UnknownNameError, match=r"unknown estimator 'zne'\n.*zen"):
        estimator_class("zne")
    monkeypatch.setattr(_registry.KINDS, "_registered", dict(_registry.KINDS._registered))

    class Other(Zen):
        """Under a name that is taken."""

    with pytest.raises(UsageError, match="estimator 'zen' is there twice"):
        register("zen")(Other)


def test_what_torch_cannot_compute_has_no_score_but_a_reason():
    b = NetworkBuilder("fixed batch")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 4, 4)), out_channels=4, kernel_size=1))
    x = b.op("reshape", b.op("reshape", x, shape=(1, 2, 2, 4, 4)), shape=(1, 4, 4, 4))
    fixed = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=3))
    scores = GradNorm(batch=4).estimate([fixed, NET])
    assert "it is made for one image: build it with batch=" in scores.failures[0]
    assert np.isfinite(scores.values[1])
    assert np.isfinite(LogSynflow().estimate([fixed]).values).all()
    b = NetworkBuilder("norm of one number")
    x = b.op(
        "batch_norm", b.op("global_avg_pool2d", b.op("conv2d", b.input((1, 3, 4, 4)), out_channels=4, kernel_size=1))
    )
    single = b.build(b.op("linear", b.op("flatten", x), out_features=3))
    assert "more than 1 value per channel" in GradSign().estimate([single]).failures[0]
    assert "hardsigmoid" in Grasp(batch=4).estimate([zoo.build("mobilenet_v3_small", resolution=32)]).failures[0]


def test_synflow_does_not_depend_on_the_batch_that_a_network_is_built_for():
    assert score(LogSynflow(), plain(batch=4)) == pytest.approx(score(LogSynflow(), plain()))
