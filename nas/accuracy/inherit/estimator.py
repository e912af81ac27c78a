"""`Inherited`: accuracies after short trainings that begin with the weights of a relative that was trained before."""

import logging
import math
import time
from dataclasses import replace
from pathlib import Path

from ....networks import Network
from ....networks.errors import CheckpointError, NotSupportedError, TrainingError, UsageError
from .._registry import register
from ..base import NoScoreError
from ..data import ImageSet
from ..data_augmentation import Batches
from ..from_scratch import FromScratch
from ..recipe import Recipe, require_counts
from ..training import OnProgress, digest, train
from .heir import Kinship, inherit, kinship
from .memory import Account, Entry, Memory
from .modules import settle, to_module, weights_of
from .wider import Grown

_LEAST = 0.5  # share of its weights that a network has to find in a relative whose function it cannot keep
_LOOKED_AT = 256  # images, for statistics of new batch norms
_log = logging.getLogger(__name__)


@register("inherited")
class Inherited(FromScratch):
    """Trains each network as `FromScratch` does, but lets it begin with what the nearest one learned that was trained
    before (`inherit`), and then for shorter.

    So the children of an evolution begin with the weights of the parent that was mutated. Nearest is one whose function
    the network can begin with, then one with which it has most ops in common, then the more accurate. Where it can keep
    none's function and has half of none's weights, it is trained from scratch. A child that begins with the function of
    its parent is trained for ``shortened`` of the recipe's epochs; another, for the more of them the more of its
    weights are new.

    The score of a network depends on those before it: its weights have been trained for longer than those of its
    relative. It stays what it was found to be; `account` says how.

    Args:
        images: see `FromScratch`.
        held_out: see `FromScratch`.
        recipe: of a training from scratch.
        memory: folder for what was trained, so that a killed search goes on, and another can begin with it; None keeps
            it in this process.
        keep: of how many networks weights are kept, those that were used last.
        shortened: share of the epochs for a network that begins with the function of another.
        restart: height of the learning rate for those that inherit, relative to the recipe's.
        noise: see `inherit`; tells repeated channels apart.
        on_progress: see `train`.
        device: see `train`.
        seed: see `FromScratch`.

    Raises:
        UsageError: a number that makes no sense.
        CheckpointError: the folder has trainings on other images or by another recipe; says what differs.
    """

    def __init__(
        self,
        *,
        images: ImageSet | None = None,
        held_out: ImageSet | None = None,
        recipe: Recipe | None = None,
        memory: str | Path | None = None,
        keep: int = 64,
        shortened: float = 0.5,
        restart: float = 1.0,
        noise: float = 0.01,
        on_progress: OnProgress | None = None,
        device: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            images=images, held_out=held_out, recipe=recipe, on_progress=on_progress, device=device, seed=seed
        )
        require_counts({"keep": keep})
        if not 0 < shortened <= 1 or not 0 < restart < math.inf or not 0 <= noise < math.inf:
            raise UsageError(
                f"shortened={shortened!r}, restart={restart!r}, noise={noise!r}",
                hint="give a share of the epochs up to 1, a positive share of the learning rate, noise of 0 or more",
            )
        self.shortened, self.restart, self.noise = shortened, restart, noise
        self._folder = None if memory is None else Path(memory)
        self._keep = keep
        self._memories: dict[tuple[int, ...], Memory] = {}

    def account(self, network: Network) -> Account | None:
        """How a network came to its score; None where it has none yet."""
        entry = self._memory(network).get(network.fingerprint)
        return None if entry is None else entry.account

    def note(self, network: Network) -> str:
        account = self.account(network)
        return "" if account is None else str(account)

    def recipe_of(self, kin: Kinship | None) -> Recipe:
        """How a network is trained that has so much of a relative; None for none."""
        if kin is None:
            return self.recipe
        spared = 1 - self.shortened if kin.same else (1 - self.shortened) * kin.share
        epochs = math.ceil(self.recipe.epochs * (1 - spared))
        averaging = self.recipe.averaging
        if averaging:  # reaches back over the same share of a training
            averaging = max(0.0, 1 - (1 - averaging) * self.recipe.epochs / epochs)
        rate = self.recipe.learning_rate * self.restart
        return replace(self.recipe, epochs=epochs, learning_rate=rate, averaging=averaging)

    def _score(self, network: Network) -> float:
        began = time.perf_counter()
        images, held_out = self._data(network)
        memory = self._memory(network)
        memory.refresh()
        if (known := memory.get(network.fingerprint)) is not None:
            return known.account.accuracy_pct
        relative, kin = self._nearest(network, memory)
        recipe, module, before = self.recipe_of(kin), None, 0
        if relative is not None:
            heir = inherit(network, relative, seed=self.seed, noise=self.noise)
            module = to_module(heir)
            settle(module, heir.undone, next(Batches(images, _LOOKED_AT).in_order())[0])
            before = _epochs_of(memory, relative)
        checkpoint = self._unfinished(network, relative)
        try:
            trained = train(
                network,
                images,
                held_out,
                recipe,
                module=module,
                checkpoint=checkpoint,
                on_progress=self._on_progress,
                device=self._device,
            )
        except CheckpointError:
            raise
        except (TrainingError, NotSupportedError) as error:
            raise NoScoreError(error.message) from None
        # A training that was killed has seconds of its own; finding a relative and the like comes on top.
        elsewhere = max(time.perf_counter() - began - trained.seconds, 0.0)
        account = Account(trained.accuracy_pct, trained.seconds + elsewhere, len(trained.epochs), before)
        if relative is not None and kin is not None:
            account = replace(account, relative=relative.network.name, share=kin.share, same=kin.same, lost=kin.lost)
        memory.keep_trained(Entry(network, account), weights_of(trained.module))
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        _log.info("%s: %.2f %%, %s", network.name, account.accuracy_pct, account)
        return account.accuracy_pct

    def _nearest(self, network: Network, memory: Memory) -> tuple[Grown | None, Kinship | None]:
        """The relative to inherit from, and what there is to inherit."""
        found = [(kinship(network, entry.network), entry) for entry in memory.relatives()]
        fitting = [(kin, entry) for kin, entry in found if kin.same or kin.share >= _LEAST]
        for kin, entry in sorted(
            fitting, key=lambda each: (each[0].same, each[0].alike, each[1].account.accuracy_pct), reverse=True
        ):
            if (relative := memory.recall(entry)) is not None:
                return relative, kin
        return None, None

    def _memory(self, network: Network) -> Memory:
        """That of networks for images of one form, in a folder of its own."""
        shape = network.inputs[0][1].shape[1:]
        if shape not in self._memories:
            images, held_out = self._data(network)
            identity = {
                "images": digest(images.images, images.labels),
                "held_out": digest(held_out.images, held_out.labels),
                "recipe": self.recipe.to_dict(),
                "inherited": {"shortened": self.shortened, "restart": self.restart, "noise": self.noise},
            }
            folder = None if self._folder is None else self._folder / "x".join(map(str, shape))
            self._memories[shape] = Memory(folder, identity, self._keep)
        return self._memories[shape]

    def _unfinished(self, network: Network, relative: Grown | None) -> Path | None:
        """Where a training under way is kept: one for each relative, so that a killed one goes on or begins anew."""
        folder = self._memory(network).folder
        begun = "scratch" if relative is None else relative.network.fingerprint[:12]
        return None if folder is None else folder / f"{network.fingerprint}.{begun}.unfinished.npz"


def _epochs_of(memory: Memory, relative: Grown) -> int:
    entry = memory.get(relative.network.fingerprint)
    return 0 if entry is None else entry.account.epochs + entry.account.epochs_before
