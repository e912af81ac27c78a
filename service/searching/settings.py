"""`Settings`: what a search on the command line is, kept in its folder so that it can go on."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from ...networks.errors import FormatVersionError, SearchStateError

FILE: Final = "search.json"
JOURNAL: Final = "journal.jsonl"
RESULT: Final = "result.json"
TRAINED: Final = "trained"
"""Files of a search's folder, and the folder in it for networks that an estimator has trained."""
FORMAT, VERSION = "lutra.search", 1

SAME: Final = (
    "space",
    "device",
    "runtime",
    "threads",
    "precision",
    "engine",
    "strategy",
    "parameters",
    "accuracy",
    "data",
    "also",
    "margin",
    "evaluations",
    "batch",
    "seed",
)
"""What the request of a search job calls as the settings do."""
BOUNDS: Final = {"latency_ms": "max_ms", "macs": "max_macs", "params": "max_params"}
"""What the request calls the bounds of the settings."""

_OPTIONAL: Final = (str, int, float)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is searched for, and how; paths are absolute.

    Attributes:
        space: name, or the user's file.
        device: name in the store, board, or a file with a table.
        model: folder of a saved predictor, instead of a device.
        runtime: of the device, as in the store; None for any.
        threads: the same.
        precision: the same.
        engine: of a board.
        store: where tables are; None for the default one.
        strategy: its name.
        parameters: what it is made with.
        accuracy: what is made large: a file's function, a stand-in, an estimator.
        data: images to learn from; None where nothing is, or for what the estimator takes by itself.
        supernet: file of a trained supernet; None where none is asked.
        trade: what else is made small beside it, by name.
        bounds: largest allowed values, by name.
        also: other devices that have to keep a budget, each with its ms; named as ``device`` is.
        margin: the probability with which the latency must keep its bound; None to bound the prediction itself.
        evaluations: how many architectures are evaluated.
        batch: how many at once; None as the strategy likes it.
        seed: of all random choices.
        probe_ms: latencies of a few fixed architectures, by which the device is known again.
    """

    space: str
    device: str
    model: str | None
    runtime: str | None
    threads: int | None
    precision: str | None
    engine: str | None
    store: str | None
    strategy: str
    parameters: Mapping[str, Any]
    accuracy: str
    data: str | None
    trade: tuple[str, ...]
    bounds: Mapping[str, float]
    also: Mapping[str, float]
    margin: float | None
    evaluations: int
    batch: int | None
    seed: int
    probe_ms: tuple[float, ...] = ()
    supernet: str | None = None

    def save(self, folder: Path) -> None:
        """Write them into a search's folder."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read those of a search's folder.

        Raises:
            SearchStateError: it is no such folder, or damaged.
            FormatVersionError: a newer version of Lutra wrote it.
        """
        path = folder / FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SearchStateError(
                f"{folder} holds no search: there is no {path}", hint="name the folder that --out was given"
            ) from None
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from None
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise _damaged(path, "it is not a search")
        version = document.pop("version", None)
        if not isinstance(version, int) or version < 1:
            raise _damaged(path, f"its version is {version!r}")
        if version > VERSION:
            raise FormatVersionError(f"the search in {folder}", version, VERSION)
        return cls._of(path, document)

    @classmethod
    def _of(cls, path: Path, document: dict[str, Any]) -> Self:
        lacking = sorted(field.name for field in fields(cls) if field.default is MISSING and field.name not in document)
        unknown = sorted({*document} - {field.name for field in fields(cls)})
        if lacking or unknown:
            raise _damaged(path, f"it lacks {lacking}, and has {unknown}")
        for name, value in document.items():
            if not _fits(name, value):
                raise _damaged(path, f"{name} is {value!r}")
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in document.items()}
        return cls(**values)


_TEXTS: Final = ("space", "device", "strategy", "accuracy")
_COUNTS: Final = ("evaluations", "seed")


def _fits(name: str, value: Any) -> bool:
    """Whether a value of the file can be what it is to be."""
    if isinstance(value, bool):
        return False
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _COUNTS:
        return isinstance(value, int)
    if name in ("parameters", "bounds", "also"):
        if not isinstance(value, dict):
            return False
        return name == "parameters" or all(isinstance(number, int | float) for number in value.values())
    if name in ("trade", "probe_ms"):
        kind: Any = str if name == "trade" else int | float
        return isinstance(value, list) and all(isinstance(item, kind) for item in value)
    return value is None or isinstance(value, _OPTIONAL)


def _damaged(path: Path, why: str) -> SearchStateError:
    return SearchStateError(f"{path} is damaged: {why}", hint="begin anew in another folder")
