"""Training from scratch on CIFAR-10: a small MobileNetV2-like network on processors, ResNet-18 on a GPU."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch

from lutra.nas.accuracy import load_images
from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.recipe import Recipe
from lutra.nas.accuracy.training import Progress, train
from lutra.networks import Network, NetworkBuilder
from lutra.networks.blocks import basic_block, conv_norm_act, inverted_bottleneck

from .._parts import WORK
from .._results import Figure, note
from ..facts import SHARED

_STAGES: Final = ((16, 1, 1), (24, 2, 2), (40, 3, 2), (80, 3, 2))
"""(channels, repeats, stride) of each stage."""

_THREADS: Final = 2
_RECIPE: Final = Recipe(
    epochs=10, batch=128, learning_rate=0.15, weight_decay=2e-4, label_smoothing=0.05, averaging=0.999,
    augmentation=Augmentation(padding=4),
)  # fmt: skip

_GPU_RECIPE: Final = Recipe(
    epochs=30, batch=512, learning_rate=0.4, warm_up=0.2, weight_decay=5e-4, averaging=0.99,
    augmentation=Augmentation(padding=4, cutout=8),
)  # fmt: skip


def small_mobilenet(expansion: int = 4) -> Network:
    """MobileNetV2's blocks (arXiv:1801.04381) for images of 32 pixels and ten classes."""
    b = NetworkBuilder("small_mobilenet")
    x = conv_norm_act(
        b, b.input((1, 3, 32, 32)), 16, stride=1, activation="relu6", names=("stem.conv", "stem.norm", "stem.act")
    )
    index = 0
    for channels, repeats, stride in _STAGES:
        for i in range(repeats):
            with b.scope(f"blocks.{index}"):
                inner = b.channels(x) * (expansion if index else 1)
                x = inverted_bottleneck(b, x, channels, mid_channels=inner, stride=stride if i == 0 else 1)
            index += 1
    x = conv_norm_act(b, x, 320, 1, activation="relu6", names=("head.conv", "head.norm", "head.act"))
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, name="classifier", out_features=10))


def cifar_resnet18() -> Network:
    """ResNet-18 (arXiv:1512.03385) with a 3x3 stem at full resolution, for images of 32 pixels."""
    b = NetworkBuilder("cifar_resnet18")
    x = conv_norm_act(b, b.input((1, 3, 32, 32)), 64, names=("conv1", "bn1", "relu"))
    for stage in range(4):
        for i in range(2):
            with b.scope(f"layer{stage + 1}.{i}"):
                x = basic_block(b, x, 64 << stage, stride=2 if stage and i == 0 else 1)
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, name="fc", out_features=10))


def measure(recipe: Recipe = _RECIPE) -> dict[str, Any]:
    """Accuracy on the test images and minutes; a killed measurement goes on where it stopped."""
    torch.set_num_threads(_THREADS)
    images, held_out = (load_images(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
    network, told = small_mobilenet(), time.perf_counter()

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.perf_counter() - told > 30:
            told = time.perf_counter()
            best = max((epoch.accuracy_pct for epoch in progress.epochs), default=0)
            note(f"step {progress.step} of {progress.steps}: loss {progress.loss:.2f}, so far {best:.1f} %")

    path = WORK / "accuracy-training-checkpoint.npz"
    trained = train(network, images, held_out, recipe, checkpoint=path, on_progress=tell, device="cpu")
    path.unlink()
    return {
        "accuracy_pct": trained.accuracy_pct,
        "minutes": trained.seconds / 60,
        "epochs": [epoch.accuracy_pct for epoch in trained.epochs],
        "macs": network.macs,
        "params": network.params,
    }


def measure_gpu() -> dict[str, Any]:
    """Accuracy of ResNet-18 on the test images and minutes; nothing where there is no GPU."""
    if not torch.cuda.is_available():
        note("skipped: there is no GPU here")
        return {}
    images, held_out = (load_images(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
    trained = train(cifar_resnet18(), images, held_out, _GPU_RECIPE, device="cuda")
    return {
        "accuracy_pct": trained.accuracy_pct,
        "minutes": trained.seconds / 60,
        "epochs": len(trained.epochs),
        "device": torch.cuda.get_device_name(),
    }


def figures_gpu(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Accuracy, and how long it took; none where there was no GPU."""
    if not found:
        return
    protocol = f"ResNet-18 with a 3x3 stem, {found['epochs']} epochs of CIFAR-10 in bfloat16 on {found['device']}"
    yield Figure(
        figure="cifar10_resnet18_pct",
        value=round(found["accuracy_pct"], 2),
        unit="%",
        goal=94.0,
        better="higher",
        peer="",
        protocol=f"test accuracy after the last epoch: {protocol}",
        command=command,
    )
    yield Figure(
        figure="cifar10_resnet18_minutes",
        value=round(found["minutes"], 2),
        unit="min",
        goal=5.0,
        better="lower",
        peer="",
        protocol=f"all epochs with their evaluations: {protocol}",
        command=command,
    )


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Accuracy, and how long it took."""
    what = (
        f"MobileNetV2-like network of {found['macs'] / 1e6:.1f} M MACs and {found['params'] / 1e3:.0f} k parameters, "
        f"{len(found['epochs'])} epochs of CIFAR-10 on {_THREADS} threads"
    )
    yield Figure(
        figure="cifar10_small_net_pct",
        value=round(found["accuracy_pct"], 2),
        unit="%",
        goal=70.0,
        better="higher",
        peer="",
        protocol=f"test accuracy after the last epoch: {what}",
        command=command,
    )
    yield Figure(
        figure="cifar10_small_net_minutes",
        value=round(found["minutes"], 1),
        unit="min",
        goal=25.0,
        better="lower",
        peer="",
        protocol=f"all epochs with their evaluations: {what}",
        command=command,
    )


def table(found: Mapping[str, Any]) -> str:
    """The course of accuracy, as Markdown."""
    course = ", ".join(f"{accuracy:.1f}" for accuracy in found["epochs"])
    return (
        "## Training from scratch\n\n"
        f"A MobileNetV2-like network of {found['macs'] / 1e6:.1f} M MACs and {found['params'] / 1e3:.0f} k parameters "
        f"reaches {found['accuracy_pct']:.1f} % of CIFAR-10's test images in {found['minutes']:.1f} minutes on "
        f"{_THREADS} threads. After each epoch, in percent: {course}.\n"
    )
