"""A graph hypernetwork: how well accuracies with predicted weights order networks, beside their parameters."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch

from lutra.nas.accuracy import Augmentation, ImageSet, Recipe, load_images, ranks
from lutra.nas.accuracy.hypernetwork import Hypernetwork, Size
from lutra.nas.accuracy.hypernetwork.graphs import depends_on_input
from lutra.nas.accuracy.training import Progress, train
from lutra.nas.spaces.nasbench201 import NasBench201Space
from lutra.networks import Network

from .._results import Figure, note
from ..facts import SHARED

_SPACE: Final = NasBench201Space(16, channels=8, repeats=1)
_NETWORKS: Final = 32
_IMAGES: Final = {"train": 4_000, "test": 2_000}
_AUGMENTATION: Final = Augmentation(padding=2)
_RECIPE: Final = Recipe(epochs=4, batch=64, learning_rate=0.1, averaging=0.98, augmentation=_AUGMENTATION)
_HYPERNETWORK: Final = Recipe(
    epochs=16, batch=64, learning_rate=3e-3, weight_decay=1e-5, averaging=0.98, augmentation=_AUGMENTATION
)
_SIZE: Final = Size(meta_batch=2)


def held_out_networks() -> list[Network]:
    """Different networks of the space, for judging the hypernetwork; it is trained without them."""
    codes = _SPACE.sample(2 * _NETWORKS, np.random.default_rng(201))
    # A training refuses cells that let nothing through.
    networks = filter(depends_on_input, map(_SPACE.decode, codes))
    different = {network.fingerprint: network for network in networks}
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
        f"of {len(found['trained_pct'])} held-out cells of NAS-Bench-201 (8 channels, one cell a group, 16 x 16 "
        f"pixels); {_IMAGES['train']:,} images of CIFAR-10, {_IMAGES['test']:,} of its test images; trained "
        f"for themselves for {_RECIPE.epochs} epochs, the hypernetwork for {_HYPERNETWORK.epochs} with "
        f"{_SIZE.meta_batch} architectures a step; one thread"
    )
    yield Figure(
        figure="ghn_rank_correlation",
        value=round(_spearman(found, "predicted_pct"), 4),
        unit="rho",
        goal=round(params, 4),
        better="higher",
        peer=f"parameters on the same cells: {params:.3f}",
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
    """Both correlations, accuracies and costs, as Markdown."""
    predicted, trained = np.array(found["predicted_pct"]), np.array(found["trained_pct"])
    ours, params = _spearman(found, "predicted_pct"), _spearman(found, "params")
    verdict = "better than" if ours > params else "**which does not beat**"
    return (
        "## Weights predicted by a hypernetwork\n\n"
        f"{len(trained)} cells of NAS-Bench-201 that it was not trained on, with 8 channels and 16 x 16 pixels. "
        f"Accuracy with predicted weights ({predicted.mean():.1f} % on average, {predicted.max():.1f} % at most) "
        f"orders them as trained accuracy does ({trained.mean():.1f} %, {trained.max():.1f} %) with a rank "
        f"correlation of {ours:.3f}, {verdict} the number of parameters with {params:.3f}.\n\n"
        f"Training them for themselves took {found['trained_seconds']:.0f} s; training the hypernetwork took "
        f"{found['hypernetwork_seconds']:.0f} s, and each network {found['network_seconds']:.2f} s after that.\n"
    )
