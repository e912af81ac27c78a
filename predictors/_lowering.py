"""From what users hand in to the kernels that will run, remembered."""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final

from ..luts import Fingerprint, Table
from ..luts.table import ALIASES_DOCUMENT, FUSION_DOCUMENT
from ..networks import Network
from ..networks.errors import CorruptModelError, MissingDependencyError, NotCoveredError
from ..networks.lowering import Aliases, FusionRules, Kernel, LoweredNetwork, lower, lower_by_rules, lower_given
from .base import InputShapes, NetworkLike

_CAPACITY: Final = 64  # files; their kernels hold no weights


class Lowerer:
    """Lowers networks for the runtime of a table. Safe to share between threads.

    `lower` remembers networks; this remembers files, by their content, so that a file that was predicted before is
    not imported again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._files: OrderedDict[str, LoweredNetwork] = OrderedDict()

    def __call__(
        self, source: NetworkLike, table: Table, input_shapes: InputShapes | None = None
    ) -> tuple[str, LoweredNetwork]:
        """Name and kernels of a network, under the runtime and precision of ``table``.

        An ONNX file is lowered as it is for ONNX Runtime, so that what is predicted is what will run. Importing
        comes first all the same: it refuses a file that is damaged, hostile or not supported.

        Where the runtime is not installed, the table's fusion rules lower the network, and the table says which of
        its rows stand for the kernels that they give.

        Raises:
            MissingDependencyError: the runtime is not installed, and the table has no rules.
            NotCoveredError: lowered by rules, the network has kernels that the table knows no rows for.
            ModelFileError: the file cannot be read.
            UnsupportedOpError: the network, or the runtime, has ops that are not supported.
            UnknownNameError: no such name in the zoo.
        """
        path, device = _onnx_path(source), table.fingerprint
        try:
            if path is not None and device.runtime_name == "onnxruntime":
                return path.stem, self._lowered_file(path, device)
            network = _loaded(source, input_shapes)
            lowered = lower(network, device.runtime_name, precision=device.precision, threads=device.threads)
            return network.name, lowered
        except MissingDependencyError:
            if not {FUSION_DOCUMENT, ALIASES_DOCUMENT} <= set(table.documents):
                raise
        network = _loaded(source, input_shapes)
        return network.name, lowered_by_rules(network, table)

    def __reduce__(self) -> tuple[type["Lowerer"], tuple[()]]:
        """A copy starts empty: what is kept can be made again, and a lock cannot be copied."""
        return (Lowerer, ())

    def _lowered_file(self, path: Path, device: Fingerprint) -> LoweredNetwork:
        content = _content(path)
        digest = f"{device.precision} {hashlib.sha256(content).hexdigest()}"
        with self._lock:
            if digest in self._files:
                self._files.move_to_end(digest)
                return self._files[digest]
        lowered = _checked_and_lowered(path, content, device)
        with self._lock:
            self._files[digest] = lowered
            if len(self._files) > _CAPACITY:
                self._files.popitem(last=False)
        return lowered


def _onnx_path(source: NetworkLike) -> Path | None:
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".onnx":
        return Path(source).expanduser()
    return None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorruptModelError(f"{path} cannot be read ({error.strerror})", hint="check the path") from error


def _loaded(source: NetworkLike, input_shapes: InputShapes | None) -> Network:
    if isinstance(source, Network):
        return source
    from ..networks import load_network  # brings onnx

    return load_network(source, input_shapes=input_shapes)


def _checked_and_lowered(path: Path, content: bytes, device: Fingerprint) -> LoweredNetwork:
    from ..networks.importers import from_onnx

    network = from_onnx(content, name=path.stem).network
    return lower_given(network, content, device.runtime_name, precision=device.precision)[0]


def lowered_by_rules(network: Network, table: Table) -> LoweredNetwork:
    """The kernels of ``table`` that stand for those that its fusion rules make of ``network``.

    Raises:
        NotCoveredError: the table knows none for some of them.
        CorruptModelError: what the table holds is damaged.
    """
    by_rules = lower_by_rules(network, FusionRules.from_json(table.documents[FUSION_DOCUMENT]))
    keys, missing = Aliases.from_json(table.documents[ALIASES_DOCUMENT]).resolve(by_rules)
    rows = {key: table.get("kernel", key) for key in keys}
    if missing or None in rows.values():
        labels = list(dict.fromkeys(kernel.label for kernel in missing))
        runtime = table.fingerprint.runtime_name
        raise NotCoveredError(
            f"{runtime} is not installed here, and the table knows {len(labels)} kernels of {network.name} "
            f"under no name of its own: {'; '.join(labels[:5])}",
            labels,
            hint="profile the network on the device, or install the runtime",
        )
    kernels = {key: Kernel.from_json(row.spec) for key, row in rows.items() if row is not None}
    return LoweredNetwork(by_rules.runtime, network.fingerprint, tuple(kernels[key] for key in keys))
