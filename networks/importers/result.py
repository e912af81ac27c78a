"""What an importer returns: the network, where its weights come from, and what it met on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import CorruptModelError
from ..graph import Network

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TensorSource:
    """Where a weight of the network lies in the model it came from.

    Attributes:
        name: of the tensor in the model.
        steps: what turns it into the weight, in order: ("transpose", axes), ("reshape", shape), ("scale", (factor,)).
    """

    name: str
    steps: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __str__(self) -> str:
        return self.name

    def then(self, step: str, arguments: tuple[float, ...]) -> "TensorSource":
        """The same tensor with one more step; a transposition that undoes the last one takes it away."""
        if self.steps and step == self.steps[-1][0] == "transpose":
            perm = tuple(self.steps[-1][1][int(axis)] for axis in arguments)
            before = TensorSource(self.name, self.steps[:-1])
            return before if perm == tuple(range(len(perm))) else before.then("transpose", perm)
        return TensorSource(self.name, (*self.steps, (step, arguments)))

    def take(self, tensors: Mapping[str, Array]) -> Array:
        """The weight itself, out of the model's ``tensors`` by name."""
        value = tensors[self.name]
        for step, arguments in self.steps:
            if step == "transpose":
                value = value.transpose(tuple(map(int, arguments)))
            elif step == "reshape":
                value = value.reshape(tuple(map(int, arguments)))
            else:
                value = value * value.dtype.type(arguments[0])
        return value


@dataclass(frozen=True)
class ImportReport:
    """What an importer met.

    Attributes:
        unknown: how often each op occurs that the catalogue does not have; empty on success.
        dropped: how often each op occurs that does nothing in inference, or that no output depends on.
    """

    unknown: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """An imported network.

    Attributes:
        network: the network, with static shapes.
        parameter_sources: by (node, weight), the model's tensor that the weight is.
        report: what was met on the way.
        constants: larger tensors that were worked out while importing (masks, position tables), by source name.
    """

    network: Network
    parameter_sources: Mapping[tuple[str, str], TensorSource]
    report: ImportReport
    constants: Mapping[str, Array] = field(default_factory=dict, compare=False)

    def weights(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The model's weights as `to_onnx` and ``load_state_dict`` take them: by ``"{node}.{weight}"``."""
        everything = {**self.constants, **tensors}
        return {f"{node}.{name}": source.take(everything) for (node, name), source in self.parameter_sources.items()}

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` gives an equal object back, but for the constants, which stay behind."""
        return {
            "network": self.network.to_json(),
            "sources": [[node, name, s.name, s.steps] for (node, name), s in self.parameter_sources.items()],
            "unknown": dict(self.report.unknown),
            "dropped": dict(self.report.dropped),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Imported":
        """The object that `to_json` wrote.

        Raises:
            CorruptModelError: not such a document.
        """
        try:
            sources = {
                (node, name): TensorSource(source, tuple((step, tuple(arguments)) for step, arguments in steps))
                for node, name, source, steps in document["sources"]
            }
            report = ImportReport(dict(document["unknown"]), dict(document["dropped"]))
            return cls(Network.from_json(document["network"]), sources, report)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptModelError(f"the imported network is damaged: {error!r}") from None
