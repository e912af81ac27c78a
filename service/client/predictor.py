"""`RemotePredictor` and `RemoteOracle`: predictions of a server, as if they were made here."""

import os
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...nas_bridge import CodedSpace, LatencyOracle
from ...networks import Network, load_network
from ...networks.errors import NotSupportedError, UsageError
from ...predictors import Artifact, Input, Inputs, InputShapes, LatencyPredictor, Prediction
from ...predictors.base import checked_coverage, listed
from .transport import Transport

_MOST_CODES = 50_000
_MOST_NETWORKS = 500


class RemotePredictor(LatencyPredictor):
    """Predicts by asking a server. It is fitted and saved there, not here.

    Args:
        transport: the server.
        source: which table or saved predictor is asked.
    """

    def __init__(self, transport: Transport, source: dict[str, Any]) -> None:
        self.transport = transport
        self.source = source

    def explain(self, network: Input, *, coverage: float = 0.9, input_shapes: InputShapes | None = None) -> Prediction:
        """Predict one network, with the interval and the time of each kernel.

        Names of the zoo and networks are sent as they are; ONNX files as files; torch modules are imported here.

        Raises:
            LutraError: as the server's predictor raises.
        """
        checked_coverage(coverage)
        path = _onnx_path(network)
        if path is not None and "model" not in self.source:
            content = path.read_bytes()
            query = {**self.source, "coverage": coverage}
            return Prediction.from_dict(
                self.transport.json("POST", "/v1/predictions/onnx", content=content, query=query)
            )
        document = {**self.source, **_subject(network, input_shapes), "coverage": coverage}
        return Prediction.from_dict(self.transport.json("POST", "/v1/predictions", document=document))

    def predict_batch(self, networks: Inputs) -> NDArray[np.float64]:
        """Latencies of n networks, shape ``[n]``, in ms."""
        return self._batch(networks, None)[:, 0]

    def predict_interval(self, networks: Inputs, coverage: float = 0.9) -> NDArray[np.float64]:
        """Intervals of n networks, shape ``[n, 2]``, in ms."""
        return self._batch(networks, checked_coverage(coverage))[:, 1:]

    def oracle(self, space: CodedSpace) -> "RemoteOracle":
        """The latencies of a space's codes, by its name on the server."""
        return RemoteOracle(self.transport, self.source, space)

    def _batch(self, networks: Inputs, coverage: float | None) -> NDArray[np.float64]:
        """Latencies and, with a coverage, ends of the intervals: [n, 1] or [n, 3]."""
        subjects = [_subject(network, None) for network in listed(networks)]
        found = [np.empty((0, 1 if coverage is None else 3))]
        for start in range(0, len(subjects), _MOST_NETWORKS):
            document = {**self.source, "networks": subjects[start : start + _MOST_NETWORKS], "coverage": coverage}
            found.append(_columns(self.transport.json("POST", "/v1/predictions/batch", document=document)))
        return np.concatenate(found)

    def fit(self, networks: Inputs, latencies_ms: ArrayLike) -> Self:
        """Not possible: see the class."""
        del networks, latencies_ms
        self._elsewhere("learn")

    def to_artifact(self) -> Artifact:
        """Not possible: see the class."""
        self._elsewhere("be saved")

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """Not possible: see the class."""
        del artifact
        raise NotSupportedError("a predictor of a server cannot be read", hint="ask for it: Client.load_predictor")

    def _elsewhere(self, what: str) -> NoReturn:
        raise NotSupportedError(
            f"a predictor of {self.transport.url} cannot {what} here", hint="run a job of kind 'fit' there"
        )


class RemoteOracle(LatencyOracle):
    """The latencies of a space's codes, from a server.

    Args:
        transport: the server.
        source: which table or saved predictor is asked.
        space: known to the server under the same name.
    """

    def __init__(self, transport: Transport, source: dict[str, Any], space: CodedSpace) -> None:
        super().__init__(space, str(source.get("device", source.get("model"))))
        self._transport = transport
        self._source = source

    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        return self._asked(codes, None)[:, 0]

    def intervals_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """As the server's source gives them."""
        return self._asked(codes, checked_coverage(coverage))[:, 1:]

    def _asked(self, codes: ArrayLike, coverage: float | None) -> NDArray[np.float64]:
        rows = self.space.validate(codes)
        found = [np.empty((0, 1 if coverage is None else 3))]
        for start in range(0, len(rows), _MOST_CODES):
            wanted = {"space": self.space.name, "codes": rows[start : start + _MOST_CODES].tolist()}
            document = {**self._source, **wanted, "coverage": coverage}
            answer = self._transport.json("POST", "/v1/predictions/batch", document=document)
            self.simulated = answer["simulated"]
            found.append(_columns(answer))
        return np.concatenate(found)


def _columns(answer: dict[str, Any]) -> NDArray[np.float64]:
    names = ["latencies_ms"] if answer["low_ms"] is None else ["latencies_ms", "low_ms", "high_ms"]
    return np.array([answer[name] for name in names], dtype=np.float64).T


def _onnx_path(network: Any) -> Path | None:
    is_file = isinstance(network, str | os.PathLike) and Path(network).suffix.lower() == ".onnx"
    return Path(network) if is_file else None


def _subject(network: Any, input_shapes: InputShapes | None) -> dict[str, Any]:
    """What a request says of a network: its name where that is one of the zoo, else the network itself."""
    if isinstance(network, np.ndarray):
        raise UsageError("a server predicts networks, not encodings", hint="ask its oracle: Client.oracle")
    if isinstance(network, str) and "/" not in network and not Path(network).suffix:
        return {"network": network}
    loaded = network if isinstance(network, Network) else load_network(network, input_shapes=input_shapes)
    return {"network": loaded.to_json()}
