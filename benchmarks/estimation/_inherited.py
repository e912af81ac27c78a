"""Inherited weights: how many epochs a network that grew out of a trained one needs, beside one from scratch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch

from lutra.nas.accuracy import load_images
from lutra.nas.accuracy.inherit import Grown, grow, to_module, weights_of
from lutra.nas.accuracy.recipe import Recipe
from lutra.nas.accuracy.training import train

from .._results import Figure, note
from ..facts import SHARED
from ._training import small_mobilenet

_IMAGES: Final = 10_000
_THREADS: Final = 2
_STEPS: Final = 4
_CHILDREN: Final = 2
_EPOCHS: Final = 8
_RECIPE: Final = Recipe(epochs=_EPOCHS, batch=128, learning_rate=0.1, weight_decay=2e-4, averaging=0.995)


def measure() -> dict[str, Any]:
    """Accuracies after each epoch of a parent and of its children, each from scratch and from the parent's weights."""
    torch.set_num_threads(_THREADS)
    images, held_out = (load_images(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
    images = images.subset(np.random.default_rng(0).permutation(len(images))[:_IMAGES])
    network = small_mobilenet(expansion=2)
    parent = train(network, images, held_out, _RECIPE, device="cpu")
    note(f"parent: {parent.accuracy_pct:.2f} %")
    children = []
    for seed in range(_CHILDREN):
        rng, child = np.random.default_rng(seed), Grown(network, weights_of(parent.module))
        for _ in range(_STEPS):
            child = grow(child.network, child.weights, rng, noise=0.01, depthwise=True)
        scratch = train(child.network, images, held_out, replace(_RECIPE, seed=seed + 1), device="cpu")
        half = replace(_RECIPE, seed=seed + 1, epochs=_EPOCHS // 2, learning_rate=_RECIPE.learning_rate / 2)
        inherited = train(child.network, images, held_out, half, module=to_module(child), device="cpu")
        entry = {
            "params": child.network.params,
            "scratch": [epoch.accuracy_pct for epoch in scratch.epochs],
            "inherited": [epoch.accuracy_pct for epoch in inherited.epochs],
        }
        note(f"child {seed}: {entry}")
        children.append(entry)
    accuracies = [epoch.accuracy_pct for epoch in parent.epochs]
    return {"parent": {"params": network.params, "scratch": accuracies}, "children": children}


def _share(child: Mapping[str, Any]) -> float:
    """Epochs after which the inherited weights are as accurate as those from scratch at their end, of these epochs."""
    wanted, epochs = child["scratch"][-1], len(child["scratch"])
    reached = [i + 1 for i, accuracy in enumerate(child["inherited"]) if accuracy >= wanted]
    return (reached[0] if reached else epochs) / epochs


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The share of the epochs, of the slowest child."""
    yield Figure(
        figure="inherited_epochs_share",
        value=max(map(_share, found["children"])),
        unit="share",
        goal=0.5,
        better="lower",
        peer="the same network from scratch",
        protocol=f"epochs until a network that grew in {_STEPS} random steps out of a trained one has the test "
        f"accuracy that it has from scratch after {_EPOCHS} epochs, of these; the slower of {len(found['children'])}; "
        f"{_IMAGES:,} images of CIFAR-10; the parent's own {_EPOCHS} epochs are not counted",
        command=command,
    )


def table(found: Mapping[str, Any]) -> str:
    """Courses of accuracy, as Markdown."""
    lines = [
        "## Inherited weights\n",
        "| network | parameters | test accuracy after each epoch, % |",
        "| --- | ---: | --- |",
    ]
    rows = [("parent", found["parent"]["params"], found["parent"]["scratch"])]
    for i, child in enumerate(found["children"]):
        rows.append((f"child {i}, from scratch", child["params"], child["scratch"]))
        rows.append((f"child {i}, inherited", child["params"], child["inherited"]))
    for name, params, accuracies in rows:
        lines.append(f"| {name} | {params:,} | {', '.join(f'{a:.1f}' for a in accuracies)} |")
    return "\n".join(lines) + "\n"
