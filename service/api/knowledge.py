"""What the server has read before: predictors, oracles and networks, kept for as long as the store has not changed."""

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ...luts import DeviceRecord, Store
from ...networks import Network, zoo
from ...networks.errors import ModelTooLargeError, UnknownNameError, UsageError
from .settings import Settings

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace
    from ...nas_bridge import LatencyOracle
    from ...predictors import LatencyPredictor

_SOURCES: Final = 16
_NETWORKS: Final = 1024
_ANSWERS: Final = 8192
_SPACES: Final = 32

Value = TypeVar("Value")


@dataclass(frozen=True)
class Setting:
    """Which table is asked: a device by name or digest, and what may choose among several of that name."""

    device: str
    runtime: str | None = None
    threads: int | None = None
    precision: str | None = None


class Recent(Generic[Value]):
    """The values that were used last, by key. Safe to share between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._held: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key]

    def put(self, key: Hashable, value: Value) -> Value:
        """Keep a value; returns it."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()


@dataclass
class Known:
    """A source of latencies that has been read.

    Attributes:
        predictor: what predicts networks.
        mark: of the table's content, or of the saved predictor's files.
        device: the table's device; None for a saved predictor.
        seen: the store's change mark when ``mark`` was last found to hold.
        oracles: what answers for the codes of a space, by the space's name.
        answers: whole answers, by what was asked.
    """

    predictor: "LatencyPredictor"
    mark: str
    device: DeviceRecord | None
    seen: str
    oracles: "Recent[LatencyOracle]" = field(default_factory=lambda: Recent(_SPACES))
    answers: Recent[bytes] = field(default_factory=lambda: Recent(_ANSWERS))


class Knowledge:
    """Predictors by table or saved folder, and networks by name or content.

    `ready` is quick enough for the event loop; everything else may read the store and compute, and belongs in a thread.

    Args:
        store: whose tables.
        models: folder of saved predictors.
        settings: limits on networks.
    """

    def __init__(self, store: Store, models: Path, settings: Settings) -> None:
        self.store = store
        self.models = models
        self._settings = settings
        self._lock = RLock()
        self._known: Recent[Known] = Recent(_SOURCES)
        self._networks: Recent[Network] = Recent(_NETWORKS)
        self._spaces: Recent[SearchSpace] = Recent(_SPACES)
        self._mark = ""

    def look(self, mark: str) -> None:
        """Say what the store's change mark is: where it is another one, what was read before is checked before use."""
        self._mark = mark

    # -- predictors ---------------------------------------------------------------------------------------

    def ready(self, source: Setting | str) -> Known | None:
        """What was read of a table (or of the saved predictor of a name) and is known to hold; None otherwise."""
        known = self._known.get(source)
        if known is None:
            return None
        if isinstance(source, str):  # files, of which the store knows nothing
            return known if self._content_mark(known, source) == known.mark else None
        return known if known.seen == self._mark else None

    def known(self, source: Setting | str) -> Known:
        """What there is to know of a table or a saved predictor, read anew if it has changed.

        Raises:
            LutraError: as `load_predictor` and `LatencyPredictor.load` raise.
        """
        if (found := self.ready(source)) is not None:
            return found
        with self._lock:
            mark = self._mark
            if (found := self._known.get(source)) is not None and self._content_mark(found, source) == found.mark:
                found.seen = mark
                return found
            return self._known.put(source, self._read(source, mark))

    def _read(self, source: Setting | str, seen: str) -> Known:
        from ...predictors import LatencyPredictor, TablePredictor, load_predictor

        if isinstance(source, str):
            folder = self.model_folder(source)
            return Known(LatencyPredictor.load(folder), _mark_of_folder(folder), None, seen)
        if os.sep in source.device:  # would be read as the path of a saved predictor
            raise UnknownNameError("device", source.device, {record.name for record in self.store.devices()})
        predictor = load_predictor(
            source.device,
            store=self.store,
            runtime=source.runtime,
            threads=source.threads,
            precision=source.precision,
        )
        assert isinstance(predictor, TablePredictor)  # of a device in the store
        record = self.store.device(predictor.table.fingerprint)
        return Known(predictor, self.store.content_mark(record), record, seen)

    def _content_mark(self, known: Known, source: Setting | str) -> str:
        try:
            if isinstance(source, str):
                return _mark_of_folder(self.model_folder(source))
            assert known.device is not None  # of a table
            return self.store.content_mark(known.device)
        except (OSError, UnknownNameError):  # deleted meanwhile: reading it again says so
            return ""

    def oracle(self, known: Known, space: "SearchSpace") -> "LatencyOracle":
        """What answers for the codes of a space from a source.

        Raises:
            LutraError: as `make_oracle` raises.
        """
        if (found := known.oracles.get(space.name)) is not None:
            return found
        with self._lock:
            if (found := known.oracles.get(space.name)) is not None:
                return found
            from ...nas_bridge import make_oracle

            return known.oracles.put(space.name, make_oracle(known.predictor, space))

    def model_folder(self, name: str) -> Path:
        """The folder of a saved predictor.

        Raises:
            UnknownNameError: there is none of that name.
        """
        folder = (self.models / name).resolve()
        inside = folder.parent == self.models.resolve()
        if not inside or not name.isprintable() or name.startswith(".") or not (folder / "predictor.json").is_file():
            raise UnknownNameError("model", name, self.model_names())
        return folder

    def model_names(self) -> list[str]:
        """Names of the saved predictors."""
        if not self.models.is_dir():
            return []
        return sorted(
            path.name
            for path in self.models.iterdir()
            if not path.name.startswith(".") and (path / "predictor.json").is_file()
        )

    # -- networks and spaces ------------------------------------------------------------------------------

    def network_of_zoo(self, name: str, options: dict[str, int]) -> Network:
        """A network of the zoo.

        Raises:
            UnknownNameError: no such name.
            UsageError: options that it does not take.
            ModelTooLargeError: over the server's limits.
        """
        key = (name, *sorted(options.items()))
        return self._networks.get(key) or self._networks.put(key, self.checked(zoo.build(name, **options)))

    def network_of_json(self, document: dict[str, Any]) -> tuple[str, Network]:
        """The network of a JSON document, and a hash of that.

        Raises:
            CorruptModelError: not such a document.
            ModelTooLargeError: over the server's limits.
        """
        nodes = document.get("nodes")
        if isinstance(nodes, list) and len(nodes) > self._settings.max_network_nodes:
            raise _too_many_nodes(len(nodes), self._settings.max_network_nodes)
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        found = self._networks.get(digest)
        return digest, found or self._networks.put(digest, self.checked(Network.from_json(document)))

    def checked(self, network: Network) -> Network:
        """The network, if it keeps the server's limits: lowering it makes its weights, and knows its tensors' sizes.

        Raises:
            ModelTooLargeError: it does not.
        """
        if len(network.nodes) > self._settings.max_network_nodes:
            raise _too_many_nodes(len(network.nodes), self._settings.max_network_nodes)
        needed = max(network.weight_bytes, max((t.nbytes for t in network.types.values()), default=0))
        if needed > self._settings.max_network_bytes:
            raise ModelTooLargeError(
                f"the network has {needed:,} bytes of weights, or in one tensor; this server takes up to "
                f"{self._settings.max_network_bytes:,}",
                hint="predict it on your own machine",
            )
        return network

    def space(self, name: str) -> "SearchSpace":
        """A search space by its registered name; files are never read.

        Raises:
            UnknownNameError: no such name.
            UsageError: sizes of images that it does not take.
        """
        from ...nas import spaces

        return self._spaces.get(name) or self._spaces.put(name, spaces.build(name))


def checked_codes(space: "SearchSpace", codes: Any) -> Any:
    """Codes as an array [n, d], d decisions.

    Raises:
        UsageError: not codes of the space.
    """
    import numpy as np

    try:
        rows = np.asarray(codes, dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        raise UsageError("the codes are of different lengths", hint=f"{len(space.decisions)} numbers each") from None
    return space.validate(rows)


def _mark_of_folder(folder: Path) -> str:
    stamps = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.iterdir())]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def _too_many_nodes(count: int, most: int) -> ModelTooLargeError:
    return ModelTooLargeError(
        f"the network has {count:,} nodes; this server takes up to {most:,}", hint="predict it on your own machine"
    )
