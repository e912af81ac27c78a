"""`Order`: what a device of a fleet is to measure, as it goes to the node: plain JSON, and models as files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from ...networks.errors import UsageError

if TYPE_CHECKING:
    from ...networks import Network

_NETWORK: Final = ".json"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be measured on each device, and how carefully; as the options of ``lutra profile``.

    Attributes:
        sources: networks, each as a file: its name and content. ``.json`` holds a network, ``.onnx`` a model.
        spaces: search spaces by name.
        settings: of the devices: "runtime", "threads", "precision", "cache", "engine" (`resolve_device`).
        check: measure whole networks too.
        check_networks: random networks of each space that are measured whole.
        budget_s: how long to measure, on each device.
        target_error: where interpolation is as good as that, stop.
        fresh: measure again what is known.
    """

    sources: tuple[tuple[str, bytes], ...] = ()
    spaces: tuple[str, ...] = ()
    settings: Mapping[str, Any]
    check: bool = True
    check_networks: int = 8
    budget_s: float | None = None
    target_error: float | None = None
    fresh: bool = False

    @classmethod
    def of(cls, sources: "Sequence[Network | Path]", spaces: Sequence[str], **others: Any) -> Self:
        """An order for networks, and paths of ONNX files.

        Raises:
            UsageError: nothing is named, or a space by its file: code is not sent to other machines.
            UnknownNameError: no such space.
        """
        from ..jobs.sources import space_named

        if not sources and not spaces:
            raise UsageError("no network is named, nor a space", hint="name networks, files, or --space fbnet")
        for name in spaces:
            if name.endswith(".py"):
                raise UsageError(
                    f"{name} is code, which is not sent to other machines", hint="name a space that is built in"
                )
            space_named(name)
        files = tuple(
            (source.name, source.read_bytes())
            if isinstance(source, Path)
            else (source.name + _NETWORK, json.dumps(source.to_json()).encode())
            for source in sources
        )
        return cls(sources=files, spaces=tuple(spaces), **others)

    def to_json(self) -> str:
        """All but the sources, which go beside it."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "sources"})

    @classmethod
    def from_json(cls, text: str, sources: Sequence[tuple[str, bytes]]) -> Self:
        """Read what `to_json` gave."""
        return cls(sources=tuple(sources), **json.loads(text))

    def networks(self, folder: Path) -> "list[Network | Path]":
        """The sources as a plan takes them; models are written into a folder."""
        from ...networks import Network

        found: list[Network | Path] = []
        for number, (name, content) in enumerate(self.sources):
            if name.endswith(_NETWORK):
                found.append(Network.from_json(json.loads(content)))
                continue
            path = folder / str(number) / Path(name).name
            path.parent.mkdir()
            path.write_bytes(content)
            found.append(path)
        return found
