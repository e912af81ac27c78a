"""`Memory`: networks that were trained, with what became of them and, of the last ones used, their weights."""

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from ....networks import Network
from ....networks.errors import CheckpointError
from ...checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ._channels import Weights
from .wider import Grown

_WHAT: Final = "training"
_SUFFIX: Final = ".trained.npz"


@dataclass(frozen=True)
class Account:
    """How a network came to its accuracy.

    Attributes:
        accuracy_pct: of held-out images.
        seconds: what finding a relative, inheriting and training took.
        epochs: of its own training.
        epochs_before: of those that its weights come from, and theirs.
        relative: name of the network it inherited from; "" for none.
        share: of its trained numbers, those that it inherited.
        same: whether it computed what its relative does before it was trained.
        lost: why not; a sentence each.
    """

    accuracy_pct: float
    seconds: float
    epochs: int
    epochs_before: int = 0
    relative: str = ""
    share: float = 0.0
    same: bool = False
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        cost = f"{self.epochs} epochs, {self.seconds:.1f} s"
        if not self.relative:
            return f"from scratch: {cost}"
        kept = "the same function" if self.same else f"another function: {self.lost[0] if self.lost else 'unknown'}"
        of = f"{100 * self.share:.0f} % of its weights from {self.relative}"
        return f"{of} ({kept}): {cost}, behind {self.epochs_before} epochs"


@dataclass(frozen=True)
class Entry:
    """A network that was trained.

    Attributes:
        network: the network.
        account: what became of it.
    """

    network: Network
    account: Account

    @classmethod
    def of(cls, saved: Checkpoint, path: Path) -> Self:
        """What a file says.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            account = dict(saved.progress["account"])
            account["lost"] = tuple(account["lost"])
            return cls(Network.from_json(saved.progress["network"]), Account(**account))
        except (LookupError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error})", hint="remove it") from None


class Memory:
    """What was trained under one recipe on some images.

    Of every network it keeps what became of it; of those that were used last also the weights. With a folder it
    outlives the process, and several processes may share it.

    Args:
        folder: of one .npz file for each network; None keeps everything in this process.
        identity: of the trainings, as plain JSON data; a folder of others is refused.
        keep: of how many networks weights are kept.

    Raises:
        CheckpointError: the folder has files of other trainings, or damaged ones.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any], keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._identity = identity
        self._entries: dict[str, Entry] = {}
        self._weights: OrderedDict[str, Weights | None] = OrderedDict()  # the last ones used at the end; None: on disk
        self.refresh()

    def __len__(self) -> int:
        return len(self._entries)

    def refresh(self) -> None:
        """Find what other processes have added to the folder."""
        if self.folder is None or not self.folder.is_dir():
            return
        unknown = [path for path in self.folder.glob(f"*{_SUFFIX}") if self._name(path) not in self._entries]
        for path in sorted(unknown, key=lambda path: path.stat().st_mtime_ns):
            if (saved := read_checkpoint(path, self._identity, _WHAT)) is not None:
                self._entries[self._name(path)] = Entry.of(saved, path)
                if saved.state:
                    self._weights[self._name(path)] = None

    def get(self, fingerprint: str) -> Entry | None:
        """What became of the network with a fingerprint; None where it was not trained."""
        return self._entries.get(fingerprint)

    def relatives(self) -> Iterator[Entry]:
        """Those whose weights are kept, the last one used at the end."""
        return iter([self._entries[fingerprint] for fingerprint in self._weights])

    def recall(self, entry: Entry) -> Grown | None:
        """A network with its weights, which are now the last ones used; None where another process has dropped them."""
        name = entry.network.fingerprint
        weights = self._weights.get(name)
        if weights is None:
            saved = read_checkpoint(self._path(name), self._identity, _WHAT) if self.folder is not None else None
            if saved is None or not saved.state:
                self._weights.pop(name, None)
                return None
            weights = saved.state
            with contextlib.suppress(OSError):
                os.utime(self._path(name))
        self._weights.move_to_end(name)
        return Grown(entry.network, dict(weights))

    def keep_trained(self, entry: Entry, weights: Weights) -> None:
        """Add a network; the weights of the one that was not used for longest are dropped if there are too many.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        name = entry.network.fingerprint
        self._entries[name] = entry
        self._weights[name] = weights if self.folder is None else None
        self._write(entry, weights)
        while len(self._weights) > self.keep:
            dropped, _ = self._weights.popitem(last=False)
            self._write(self._entries[dropped], {})

    def _write(self, entry: Entry, weights: Weights) -> None:
        if self.folder is not None:
            progress = {"network": entry.network.to_json(), "account": asdict(entry.account)}
            written = Checkpoint(self._identity, progress, weights)
            write_checkpoint(written, self._path(entry.network.fingerprint), _WHAT)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}{_SUFFIX}"

    def _name(self, path: Path) -> str:
        return path.name.removesuffix(_SUFFIX)
