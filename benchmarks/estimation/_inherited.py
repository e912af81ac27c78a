"""Inherited weights: how many epochs a network that grew out of a trained one needs, beside one from scratch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from lutra.nas.accuracy import ImageSet, load_images
from lutra.nas.accuracy.inherit import Grown, inherit, to_module, weights_of
from lutra.nas.accuracy.inherit.estimator import Inherited
from lutra.nas.accuracy.recipe import Recipe
from lutra.nas.accuracy.training import Trained, train
from lutra.nas.searchers.growing import grown
from lutra.nas.spaces import ChainSpace, Codes
from lutra.networks import Network, NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck
from lutra.networks.lowering.blocks import Block, BlockSpace

from .._parts import WORK
from .._results import Figure, note
from ..facts import SHARED

_IMAGES: Final = 8_000
_THREADS: Final = 1
_GENERATIONS: Final = 3
_CHILDREN: Final = 3
_EPOCHS: Final = 8
_RECIPE: Final = Recipe(epochs=_EPOCHS, batch=128, learning_rate=0.1, weight_decay=2e-4, averaging=0.995)

_STAGES: Final = ((24, 2), (40, 3), (80, 3))
"""(channels, most blocks) of each stage; the first block halves the image."""
_CHOICES: Final = tuple((kernel, expansion) for kernel in (3, 5) for expansion in (2, 3, 4))
_NONE: Final = len(_CHOICES)
_PARENT: Final = (0, 0, 0, 0, _NONE, 0, 0, _NONE)


def space() -> ChainSpace:
    """Inverted bottlenecks for images of 32 pixels: a window and an expansion each, and some may be left out."""
    positions: list[tuple[Block, ...]] = []
    for channels, repeats in _STAGES:
        for i in range(repeats):
            block = partial(_block, out=channels, stride=1 if i else 2)
            blocks: list[Block] = [partial(block, kernel=kernel, expansion=expansion) for kernel, expansion in _CHOICES]
            positions.append((*blocks, _nothing) if i else tuple(blocks))
    chain = BlockSpace("small-mobile", TensorType((1, 3, 32, 32)), _stem, tuple(positions), _head)
    return ChainSpace("small-mobile", [chain])


def _nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def _stem(b: NetworkBuilder, x: str) -> str:
    return inverted_bottleneck(b, conv_norm_act(b, x, 16, activation="relu6"), 16, mid_channels=16)


def _block(b: NetworkBuilder, x: str, *, out: int, stride: int, kernel: int, expansion: int) -> str:
    return inverted_bottleneck(b, x, out, mid_channels=b.channels(x) * expansion, kernel_size=kernel, stride=stride)


def _head(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, 320, 1, activation="relu6")
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


def children() -> tuple[Network, list[Network]]:
    """A parent, and what evolution makes of it in some generations of mutants that grow."""
    searched = space()
    made = []
    for seed in range(_CHILDREN):
        rng = np.random.default_rng(seed)
        code: Codes = np.array([_PARENT], np.int64)
        for _ in range(_GENERATIONS):
            code = grown(searched, code, rng)
        made.append(searched.decode(code))
    return searched.decode(_PARENT), made


def measure() -> dict[str, Any]:
    """Accuracies after each epoch of a parent and of its children, each from scratch and from the parent's weights.

    A measurement that was killed goes on with the training that it was in.
    """
    torch.set_num_threads(_THREADS)
    images, held_out = (load_images(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
    images = images.subset(np.random.default_rng(0).permutation(len(images))[:_IMAGES])
    estimator = Inherited(images=images, held_out=held_out, recipe=_RECIPE)
    network, grown_ones = children()
    parent = _trained("parent", network, images, held_out, _RECIPE)
    note(f"parent: {parent.accuracy_pct:.2f} %")
    found = []
    for i, child in enumerate(grown_ones):
        recipe = replace(_RECIPE, seed=i + 1)
        scratch = _trained(f"child-{i}-scratch", child, images, held_out, recipe)
        heir = inherit(child, Grown(network, weights_of(parent.module)), seed=i + 1, noise=estimator.noise)
        recipe = replace(estimator.recipe_of(heir.kinship), seed=i + 1)
        inherited = _trained(f"child-{i}-inherited", child, images, held_out, recipe, to_module(heir))
        entry = {
            "name": child.name,
            "params": child.params,
            "same": heir.kinship.same,
            "share": heir.kinship.share,
            "scratch": [epoch.accuracy_pct for epoch in scratch.epochs],
            "inherited": [epoch.accuracy_pct for epoch in inherited.epochs],
            "seconds": [scratch.seconds, inherited.seconds],
        }
        note(f"child {i}: {entry}")
        found.append(entry)
    for path in WORK.glob("accuracy-inherited-*.npz"):
        path.unlink()
    accuracies = [epoch.accuracy_pct for epoch in parent.epochs]
    return {"parent": {"name": network.name, "params": network.params, "scratch": accuracies}, "children": found}


def _trained(
    name: str,
    network: Network,
    images: ImageSet,
    held_out: ImageSet,
    recipe: Recipe,
    module: torch.nn.Module | None = None,
) -> Trained:
    path = WORK / f"accuracy-inherited-{name}.npz"
    return train(network, images, held_out, recipe, module=module, checkpoint=path, device="cpu")


def _share(child: Mapping[str, Any]) -> float:
    """Epochs after which the inherited weights are as accurate as those from scratch at their end, of these epochs."""
    wanted, epochs = child["scratch"][-1], len(child["scratch"])
    reached = [i + 1 for i, accuracy in enumerate(child["inherited"]) if accuracy >= wanted]
    return (reached[0] if reached else epochs) / epochs


def _gains(found: Mapping[str, Any]) -> list[float]:
    return [child["inherited"][-1] - child["scratch"][-1] for child in found["children"]]


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The share of the epochs, of the slowest child; and what is gained in half of them."""
    gains = _gains(found)
    what = (
        f"{len(gains)} networks that grew in {_GENERATIONS} mutations (`evolution` with growth: wider blocks, larger "
        f"windows, more blocks) out of one that was trained for {_EPOCHS} epochs, which are not counted; {_IMAGES:,} "
        "images of CIFAR-10, its test images; the learning rate's height was chosen on training images and other "
        "children"
    )
    yield Figure(
        figure="inherited_epochs_share",
        value=max(map(_share, found["children"])),
        unit="share",
        goal=0.5,
        better="lower",
        peer="the same networks from scratch",
        protocol=f"epochs until the test accuracy is that from scratch after {_EPOCHS} epochs, of these; the slowest "
        f"of {what}",
        command=command,
    )
    yield Figure(
        figure="inherited_gain_points",
        value=round(float(np.mean(gains)), 2),
        unit="points",
        goal=0.0,
        better="higher",
        peer="the same networks from scratch",
        protocol=f"test accuracy after {len(found['children'][0]['inherited'])} epochs from inherited weights less "
        f"that after {_EPOCHS} from scratch, the mean ({min(gains):+.2f} to {max(gains):+.2f}) of {what}",
        command=command,
    )


def table(found: Mapping[str, Any]) -> str:
    """Courses of accuracy, as Markdown."""
    lines = [
        "## Inherited weights\n",
        "Mutants that grow begin with the function of their parent. Those from scratch have the whole recipe, those "
        "that inherit half of its epochs.\n",
        "| network | parameters | inherited | test accuracy after each epoch, % |",
        "| --- | ---: | ---: | --- |",
    ]
    rows = [("parent", found["parent"]["params"], "", found["parent"]["scratch"])]
    for i, child in enumerate(found["children"]):
        rows.append((f"child {i}, from scratch", child["params"], "", child["scratch"]))
        share = f"{100 * child['share']:.0f} % of weights" + ("" if child["same"] else ", another function")
        rows.append((f"child {i}, inherited", child["params"], share, child["inherited"]))
    for name, params, share, accuracies in rows:
        lines.append(f"| {name} | {params:,} | {share} | {', '.join(f'{a:.1f}' for a in accuracies)} |")
    return "\n".join(lines) + "\n"
