"""Training from scratch on CIFAR-10: a small MobileNetV2-like network on processors, ResNet-18 on a GPU."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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

_TOLD_EVERY_S: Final = 30.0
_SHARED: Final = 1.2  # so many times the minutes of the processor tell that it was not alone


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


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training on all of CIFAR-10, judged by its test images, and what it is to reach.

    Attributes:
        figure: what its figures begin with.
        what: is trained, for people.
        network: makes it.
        recipe: how.
        device: where, as torch calls it.
        least_pct: test accuracy that it is to reach.
        most_minutes: in which it is to reach it.
    """

    figure: str
    what: str
    network: Callable[[], Network]
    recipe: Recipe
    device: str
    least_pct: float
    most_minutes: float

    def measure(self) -> dict[str, Any]:
        """Accuracy on the test images and minutes; a killed measurement goes on where it stopped.

        Nothing where a GPU is asked for and there is none.
        """
        if self._on_gpu and not torch.cuda.is_available():
            note("skipped: there is no GPU here")
            return {}
        torch.set_num_threads(1)
        images, held_out = (load_images(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
        network, path = self.network(), WORK / f"accuracy-{self.figure}-checkpoint.npz"
        whole, begun_s = not path.exists(), time.process_time()
        trained = train(
            network, images, held_out, self.recipe, checkpoint=path, on_progress=_teller(), device=self.device
        )
        cpu_minutes = (time.process_time() - begun_s) / 60 if whole else None
        path.unlink()
        return {
            "accuracy_pct": trained.accuracy_pct,
            "minutes": trained.seconds / 60,
            "cpu_minutes": cpu_minutes,
            "epochs": [epoch.accuracy_pct for epoch in trained.epochs],
            "macs": network.macs,
            "params": network.params,
            "where": torch.cuda.get_device_name() if self._on_gpu else "one thread",
        }

    def figures(self, found: Mapping[str, Any], command: str) -> Iterator[Figure]:
        """Accuracy, and how long it took; none where nothing was measured."""
        if not found:
            return
        protocol = (
            f"{self.what} of {found['macs'] / 1e6:.1f} M MACs and {found['params'] / 1e3:.0f} k parameters, "
            f"{len(found['epochs'])} epochs of CIFAR-10 on {found['where']}"
        )
        yield Figure(
            figure=f"{self.figure}_pct",
            value=round(found["accuracy_pct"], 2),
            unit="%",
            goal=self.least_pct,
            better="higher",
            peer="",
            protocol=f"test accuracy after the last epoch: {protocol}",
            command=command,
        )
        yield Figure(
            figure=f"{self.figure}_minutes",
            value=round(self._minutes(found), 2),
            unit="min",
            goal=self.most_minutes,
            better="lower",
            peer="",
            protocol=f"all epochs with their evaluations, {self._clock(found)}: {protocol}",
            command=command,
        )

    def table(self, found: Mapping[str, Any]) -> str:
        """The course of accuracy, as Markdown; nothing where nothing was measured."""
        if not found:
            return ""
        course = ", ".join(f"{accuracy:.1f}" for accuracy in found["epochs"])
        return (
            f"## Training from scratch: {self.what}\n\n"
            f"{found['macs'] / 1e6:.1f} M MACs and {found['params'] / 1e3:.0f} k parameters: "
            f"{found['accuracy_pct']:.1f} % of CIFAR-10's test images after {self._minutes(found):.1f} minutes on "
            f"{found['where']} ({self._clock(found)}). After each epoch, in percent: {course}.\n"
        )

    def _minutes(self, found: Mapping[str, Any]) -> float:
        """Of the processor where that is known: one thread needs no more on a machine without other work."""
        return float(found["minutes"] if self._on_gpu or found["cpu_minutes"] is None else found["cpu_minutes"])

    def _clock(self, found: Mapping[str, Any]) -> str:
        if self._on_gpu or found["cpu_minutes"] is None:
            return "by the clock on the wall"
        return f"minutes of the processor; {on_the_wall(found['minutes'], found['cpu_minutes'])}"

    @property
    def _on_gpu(self) -> bool:
        return self.device == "cuda"


def on_the_wall(minutes: float, cpu_minutes: float) -> str:
    """Minutes by the clock, and whether a thread had to share its processor."""
    return f"{minutes:.1f} on the wall{', beside other work' if minutes > _SHARED * cpu_minutes else ''}"


def _teller() -> Callable[[Progress], None]:
    told_s = time.perf_counter()

    def tell(progress: Progress) -> None:
        nonlocal told_s
        if time.perf_counter() - told_s > _TOLD_EVERY_S:
            told_s = time.perf_counter()
            so_far = "" if not progress.epochs else f", so far {progress.epochs[-1].accuracy_pct:.1f} %"
            note(f"step {progress.step} of {progress.steps}: loss {progress.loss:.2f}{so_far}")

    return tell


SMALL: Final = Training(
    figure="cifar10_small_net",
    what="a MobileNetV2-like network",
    network=small_mobilenet,
    recipe=Recipe(
        epochs=5, batch=128, learning_rate=0.15, weight_decay=2e-4, label_smoothing=0.05, averaging=0.999,
        augmentation=Augmentation(padding=4),
    ),
    device="cpu",
    least_pct=70.0,
    most_minutes=25.0,
)  # fmt: skip

RESNET: Final = Training(
    figure="cifar10_resnet18",
    what="ResNet-18 with a 3x3 stem",
    network=cifar_resnet18,
    recipe=Recipe(
        epochs=30, batch=512, learning_rate=0.4, warm_up=0.2, weight_decay=5e-4, averaging=0.99,
        augmentation=Augmentation(padding=4, cutout=8),
    ),
    device="cuda",
    least_pct=94.0,
    most_minutes=5.0,
)  # fmt: skip
