"""`train_hypernetwork`: a hypernetwork learns to predict weights, by gradients through networks that have them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ....networks import Network
from ....networks.errors import NotSupportedError, UsageError
from ....networks.exporters import to_torch
from ...spaces import SearchSpace
from ..data import ImageSet, Statistics
from ..data_augmentation import Batches
from ..lessons import Lesson
from ..recipe import Recipe, require_counts
from ..training import OnProgress, Trained, require_any_batch, train_module
from ._model import GraphHypernetwork, with_weights
from .graphs import Vocabulary, depends_on_input

BATCH: Final = 64
"""Images whose statistics batch norms see where predicted weights are judged; accuracies depend on it."""

RECIPE: Final = Recipe(epochs=20, batch=BATCH, learning_rate=2e-3, weight_decay=1e-5, averaging=0.99)
"""Of a hypernetwork; by AdamW, whose first decay rate is the recipe's momentum."""

_LOOKED_AT: Final = 128  # architectures that say what a space is made of
_JUDGED: Final = 8  # architectures whose accuracy is told after each epoch
_TRIES: Final = 64  # architectures in turn that may be left out before the space is taken for empty
_LONGEST: Final = 1.0  # norm of a gradient


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a hypernetwork is, and what a step of it costs.

    Attributes:
        width: of an op's state.
        hidden: of the decoder's layers.
        tile: channels of a tile in either direction; where a layer has more, tiles repeat.
        reach: the longest distance of a virtual edge.
        meta_batch: architectures in a step, each of which sees the same images.

    Raises:
        UsageError: a number that makes no sense.
    """

    width: int = 32
    hidden: int = 32
    tile: int = 32
    reach: int = 50
    meta_batch: int = 4

    def __post_init__(self) -> None:
        require_counts(asdict(self))


def train_hypernetwork(
    space: SearchSpace,
    images: ImageSet,
    held_out: ImageSet,
    recipe: Recipe = RECIPE,
    *,
    size: Size | None = None,
    without: Iterable[Network] = (),
    checkpoint: str | Path | None = None,
    on_progress: OnProgress | None = None,
    device: str | None = None,
) -> Trained:
    """Train a hypernetwork on random architectures of a space; the result's module is a `GraphHypernetwork`.

    As with `train`, everything follows from the arguments, and a training that was killed goes on bit for bit.

    Args:
        space: of the architectures.
        images: to learn from.
        held_out: to judge by, after each epoch, on a few architectures.
        recipe: how.
        size: of the hypernetwork and its steps; the defaults if omitted.
        without: networks that are never trained on, so that they are unseen ones later.
        checkpoint: see `train`.
        on_progress: see `train`.
        device: see `train`.

    Raises:
        UsageError: images that the space's networks do not read, or a space with hardly a network besides ``without``.
        NotSupportedError: a space whose networks have weights that are not predicted, or a batch built in.
        DivergedError: see `train`.
        TrainingError: see `train`.
        CheckpointError: the checkpoint is damaged, or of another space, recipe or size.
    """
    size = size or Size()
    known = [space.decode(code) for code in space.sample(_LOOKED_AT, np.random.default_rng(0))]
    for network in known:
        images.require_fit(network)
        held_out.require_fit(network)
    first = next(filter(depends_on_input, known), known[0])
    require_any_batch(module_of(first, "cpu"), first)
    vocabulary = Vocabulary.of(known)
    left_out = frozenset(network.fingerprint for network in without)
    judged = judging_batches(held_out, images.channel_statistics(), recipe.seed, device)
    lesson = _Architectures(space, vocabulary, left_out, recipe, size.meta_batch, judged)
    module = new_hypernetwork(vocabulary, size, recipe.seed)
    identity = {
        "space": space.name,
        "networks": _digest(network.fingerprint for network in known),
        "without": _digest(sorted(left_out)),
        "size": asdict(size),
    }
    name = f"a hypernetwork of {space.name}"
    return train_module(
        module,
        lesson,
        images,
        held_out,
        recipe,
        name=name,
        identity=identity,
        checkpoint=checkpoint,
        on_progress=on_progress,
        device=device,
    )


def new_hypernetwork(vocabulary: Vocabulary, size: Size, seed: int) -> GraphHypernetwork:
    """A hypernetwork with random weights that follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GraphHypernetwork(vocabulary, width=size.width, hidden=size.hidden, tile=size.tile, reach=size.reach)


def module_of(network: Network, device: str | torch.device) -> nn.Module:
    """`to_torch(network)`, whose own weights do not matter; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        return to_torch(network).to(device)


def accuracy_of(network: Network, weights: Mapping[str, Tensor], batches: Batches) -> float:
    """Percent of images that a network with given weights classifies rightly, by the statistics of each batch.

    Args:
        network: which.
        weights: as `GraphHypernetwork.predict` gives them.
        batches: in a random order, since the statistics of a class are not those of images.
    """
    device = next(iter(weights.values())).device
    module, right, seen = module_of(network, device), 0, 0
    with torch.no_grad():
        for images, targets in batches.epoch(0):
            outputs = with_weights(module, weights, images)[:, : batches.classes]
            right += int((outputs.argmax(dim=1) == targets.argmax(dim=1)).sum())
            seen += len(images)
    return 100 * right / seen


def judging_batches(held_out: ImageSet, statistics: Statistics, seed: int, device: str | None) -> Batches:
    """Held-out images as `accuracy_of` wants them."""
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Batches(held_out, BATCH, statistics=statistics, seed=seed, device=where)


def _digest(fingerprints: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:32]


class _Architectures(Lesson):
    """Cross entropy of random architectures with predicted weights; which ones follows from seed and step.

    Args:
        space: of the architectures.
        vocabulary: of what is known of them; those with other ops are left out.
        left_out: fingerprints of networks that are never drawn.
        recipe: its seed, label smoothing, rate and decay.
        meta_batch: architectures in a step.
        judged: batches for `accuracy_of`.
    """

    def __init__(
        self,
        space: SearchSpace,
        vocabulary: Vocabulary,
        left_out: frozenset[str],
        recipe: Recipe,
        meta_batch: int,
        judged: Batches,
    ) -> None:
        self._space, self._vocabulary, self._left_out = space, vocabulary, left_out
        self._recipe, self._meta_batch, self._judged = recipe, meta_batch, judged

    def optimiser(self, module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            module.parameters(),
            lr=recipe.learning_rate,
            betas=(recipe.momentum, 0.999),
            weight_decay=recipe.weight_decay,
        )

    def gradients(self, module: nn.Module, inputs: Tensor, targets: Tensor, step: int) -> float:
        assert isinstance(module, GraphHypernetwork)
        networks = self.draw(self._meta_batch, np.random.default_rng([self._recipe.seed, step]))
        total = inputs.new_zeros(())
        for network, weights in zip(networks, module.predict(networks), strict=True):
            outputs = with_weights(module_of(network, inputs.device), weights, inputs)[:, : targets.shape[1]]
            total = total + cross_entropy(outputs, targets, label_smoothing=self._recipe.label_smoothing)
        loss = total / len(networks)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), _LONGEST)
        return loss.item()

    def accuracy_pct(self, module: nn.Module, batches: Batches) -> float:
        """The mean over a few architectures, the same ones after each epoch."""
        del batches  # of another size, whose statistics would not be those that count
        assert isinstance(module, GraphHypernetwork)
        networks = self.draw(_JUDGED, np.random.default_rng(self._recipe.seed))
        with torch.no_grad():
            predicted = module.predict(networks)
        accuracies = [accuracy_of(*each, self._judged) for each in zip(networks, predicted, strict=True)]
        return sum(accuracies) / len(accuracies)

    def draw(self, count: int, rng: np.random.Generator) -> list[Network]:
        """Random architectures that may be trained on."""
        found: list[Network] = []
        for _ in range(_TRIES):
            for code in self._space.sample(count - len(found), rng):
                network = self._space.decode(code)
                if depends_on_input(network) and self._known(network) and network.fingerprint not in self._left_out:
                    found.append(network)
            if len(found) == count:
                return found
        raise UsageError(
            f"space {self._space.name!r} has hardly an architecture besides those that are left out",
            hint="leave fewer out, or take a larger space",
        )

    def _known(self, network: Network) -> bool:
        """Whether all its ops are known: a rare op may be in none of the architectures that were looked at."""
        try:
            self._vocabulary.require(network)
        except NotSupportedError:
            return False
        return True
