"""A graph hypernetwork: how well accuracies with predicted weights order networks, beside their parameters."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch

from lutra.nas.accuracy import Augmentation, ImageSet, Recipe, load_images, ranks
from lutra.nas.accuracy.hypernetwork import Hypernetwork, Size
from lutra.nas.accuracy.training import Progress, train
from lutra.nas.spaces import Codes, Decision, SearchSpace
from lutra.networks import Network, NetworkBuilder
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck

from .._results import Figure, note
from ..facts import SHARED

_BLOCKS: Final = tuple(
    (kernel, expansion, stride) for kernel in (1, 3, 5) for expansion in (1, 2, 4) for stride in (1, 2)
)
_POSITIONS: Final = 5
_CHANNELS: Final = 12
_NETWORKS: Final = 30
_IMAGES: Final = {"train": 4_000, "test": 2_000}
_AUGMENTATION: Final = Augmentation(padding=2)
_RECIPE: Final = Recipe(epochs=3, batch=64, learning_rate=0.1, averaging=0.98, augmentation=_AUGMENTATION)
_HYPERNETWORK: Final = Recipe(
    epochs=10, batch=64, learning_rate=3e-3, weight_decay=1e-5, averaging=0.98, augmentation=_AUGMENTATION
)
_SIZE: Final = Size(meta_batch=2)


class ResolutionSpace(SearchSpace):
    """Five inverted bottlenecks of 12 channels, each of a kernel size, an expansion and a stride: 18^5 networks.

    Where a network halves its images decides much about its accuracy, and nothing about its parameters.
    """

    def __init__(self) -> None:
        names = tuple(f"{kernel}x{kernel} e{expansion} s{stride}" for kernel, expansion, stride in _BLOCKS)
        super().__init__("resolutions", [Decision(f"position {i}", names) for i in range(_POSITIONS)])

    def _network(self, code: Codes) -> Network:
        b = NetworkBuilder(self.name)
        x = conv_norm_act(b, b.input((1, 3, 16, 16)), _CHANNELS, names=("stem.conv", "stem.norm", "stem.act"))
        for i, choice in enumerate(code[0]):
            kernel, expansion, stride = _BLOCKS[choice]
            with b.scope(f"blocks.{i}"):
                mid = _CHANNELS * expansion
                x = inverted_bottleneck(b, x, _CHANNELS, mid_channels=mid, kernel_size=kernel, stride=stride)
        x = b.op("flatten", b.op("global_avg_pool2d", x))
        return b.build(b.op("linear", x, name="classifier", out_features=10))


_SPACE: Final = ResolutionSpace()


def held_out_networks() -> list[Network]:
    """Different networks of the space, for judging the hypernetwork; it is trained without them."""
    codes = _SPACE.sample(2 * _NETWORKS, np.random.default_rng(201))
    different = {network.fingerprint: network for network in map(_SPACE.decode, codes)}
    return list(different.values())[:_NETWORKS]


def pictures() -> tuple[ImageSet, ImageSet]:
    """Small ones of CIFAR-10: to learn from, and to judge by."""
    made = []
    for part, count in _IMAGES.items():
        images = load_images(SHARED / "images" / f"cifar10-{part}.parquet", size=16)
        made.append(images.subset(np.random.default_rng(0).permutation(len(images))[:count]))
    return made[0], made[1]


def trained_accuracies(networks: list[Network]) -> tuple[list[float], float]:
    """Percent of each network after a training of its own, and the seconds of them all."""
    images, held_out = pictures()
    trained = [train(network, images, held_out, _RECIPE, device="cpu") for network in networks]
    return [each.accuracy_pct for each in trained], sum(each.seconds for each in trained)


def hypernetwork(networks: list[Network]) -> Hypernetwork:
    """The estimator, to be trained without some networks."""
    images, held_out = pictures()

    def tell(progress: Progress) -> None:
        if progress.epochs and progress.step == len(progress.epochs) * progress.steps // _HYPERNETWORK.epochs:
            last = progress.epochs[-1]
            note(f"epoch {last.number}: loss {last.loss:.3f}, {last.accuracy_pct:.1f} %")

    return Hypernetwork(
        space=_SPACE,
        images=images,
        held_out=held_out,
        recipe=_HYPERNETWORK,
        size=_SIZE,
        without=networks,
        on_progress=tell,
        device="cpu",
    )


def measure() -> dict[str, Any]:
    """Accuracies of held-out networks: trained for themselves, and with predicted weights. On one thread."""
    torch.set_num_threads(1)
    networks = held_out_networks()
    estimator = hypernetwork(networks)
    scores = estimator.estimate(networks)
    accuracies, seconds = trained_accuracies(networks)
    return {
        "trained_pct": accuracies,
        "predicted_pct": scores.values.tolist(),
        "params": [network.params for network in networks],
        "macs": [network.macs for network in networks],
        "trained_seconds": seconds,
        "hypernetwork_seconds": estimator.training_seconds,
        "network_seconds": float(scores.seconds.mean()),
    }


def _spearman(found: Mapping[str, Any], score: str) -> float:
    return float(np.corrcoef(ranks(np.array(found[score])), ranks(np.array(found["trained_pct"])))[0, 1])


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Rank correlations with trained accuracy, of predicted weights and of parameters."""
    params = _spearman(found, "params")
    what = (
        f"of {len(found['trained_pct'])} held-out networks of {_POSITIONS} inverted bottlenecks, whose kernels, "
        f"expansions and strides are chosen ({_CHANNELS} channels, 16 x 16 pixels); {_IMAGES['train']:,} images of "
        f"CIFAR-10, {_IMAGES['test']:,} of its test images; trained for themselves for {_RECIPE.epochs} epochs, the "
        f"hypernetwork for {_HYPERNETWORK.epochs} with {_SIZE.meta_batch} architectures a step; one thread"
    )
    yield Figure(
        figure="ghn_rank_correlation",
        value=round(_spearman(found, "predicted_pct"), 4),
        unit="rho",
        goal=round(params, 4),
        better="higher",
        peer=f"on the same networks: parameters {params:.3f}, MACs {_spearman(found, 'macs'):.3f}",
        protocol=f"Spearman's correlation of test accuracy with predicted weights with that of trained ones, {what}",
        command=command,
    )
    yield Figure(
        figure="ghn_params_rank_correlation",
        value=round(params, 4),
        unit="rho",
        goal=None,
        better="higher",
        peer="",
        protocol=f"Spearman's correlation of parameters with trained test accuracy, {what}",
        command=command,
    )


def table(found: Mapping[str, Any]) -> str:
    """Correlations, accuracies and costs, as Markdown."""
    predicted, trained = np.array(found["predicted_pct"]), np.array(found["trained_pct"])
    ours, params = _spearman(found, "predicted_pct"), _spearman(found, "params")
    verdict = "better than" if ours > params else "**which does not beat**"
    return (
        "## Weights predicted by a hypernetwork\n\n"
        f"{len(trained)} networks that it was not trained on: {_POSITIONS} inverted bottlenecks whose kernels, "
        f"expansions and strides are chosen, {_CHANNELS} channels, 16 x 16 pixels. Accuracy with predicted weights "
        f"({predicted.min():.1f} to {predicted.max():.1f} %) orders them as trained accuracy does ({trained.min():.1f} "
        f"to {trained.max():.1f} %) with a rank correlation of {ours:.3f}, {verdict} the number of parameters with "
        f"{params:.3f}; MACs have {_spearman(found, 'macs'):.3f}.\n\n"
        f"Training them for themselves took {found['trained_seconds']:.0f} s; training the hypernetwork took "
        f"{found['hypernetwork_seconds']:.0f} s, and each network {found['network_seconds']:.2f} s after that.\n"
    )
