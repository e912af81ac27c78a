"""`LatencyPredictor`: the contract of everything that estimates the latency of a network."""

import inspect
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeGuard, Union, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Fingerprint
from ..networks import Network
from ..networks.errors import ArtifactError, FingerprintMismatchError, UsageError
from . import metrics
from ._artifact import Artifact, read_artifact, write_artifact
from ._registry import predictor_class
from .prediction import Prediction

if TYPE_CHECKING:
    from torch import nn

NetworkLike: TypeAlias = Union[Network, str, os.PathLike[str], "nn.Module"]
"""A network, a name in the zoo, the path of an ``.onnx`` or ``.json`` file, or a torch module."""

InputShapes: TypeAlias = Sequence[Sequence[int]]
"""Shapes of a torch module's inputs."""

Inputs: TypeAlias = Sequence[NetworkLike] | NDArray[Any]
"""n networks; or their encodings: an array of numbers of shape ``[n, d]``, one row of d numbers each."""

Input: TypeAlias = NetworkLike | NDArray[Any]
"""One network, or its encoding of shape ``[d]``."""


class LatencyPredictor(ABC):
    """Estimates latencies, in ms, on scikit-learn's contract.

    ``__init__`` only stores its parameters, under their own names; ``fit`` returns self and writes what it learned to
    attributes with a trailing underscore; a failed ``fit`` changes nothing.

    Where networks are asked for, a predictor may also take *encodings*: an array of shape ``[n, d]`` in which each row
    describes one architecture of a search space. What it was fitted to is what it predicts.

    A subclass gives `fit`, `explain`, `to_artifact` and `from_artifact`, and registers itself under a name
    (`register`); it may override `predict_batch` and `predict_interval` with something quicker than one network at a
    time. `lutra.predictors.testing.PredictorContract` holds the tests that it must pass.

    Attributes:
        kind: the name it is registered under.
    """

    kind: ClassVar[str]

    # -- what a predictor must give -----------------------------------------------------------------------

    @abstractmethod
    def fit(self, networks: Inputs, latencies_ms: ArrayLike) -> Self:
        """Learn from measured networks.

        Args:
            networks: n networks, or encodings of shape ``[n, d]``.
            latencies_ms: their measured latencies, shape ``[n]``, in ms.

        Raises:
            UsageError: no networks, not one latency a network, or a latency that is not a positive number.
        """

    @abstractmethod
    def explain(self, network: Input, *, coverage: float = 0.9, input_shapes: InputShapes | None = None) -> Prediction:
        """Predict one network, with the interval and where the time goes.

        Args:
            network: what to predict.
            coverage: probability, in (0, 1), with which the interval shall hold the measured latency.
            input_shapes: shapes of the inputs, for a torch module.

        Raises:
            UsageError: the coverage is out of range, or the predictor needs `fit` first.
            NotCoveredError: there is no basis for a number.
        """

    @abstractmethod
    def to_artifact(self) -> Artifact:
        """Everything `from_artifact` needs, as JSON data and arrays of numbers."""

    @classmethod
    @abstractmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described.

        Raises:
            CorruptArtifactError: the description is not one of this kind.
        """

    def predict_batch(self, networks: Inputs) -> NDArray[np.float64]:
        """Latencies of n networks, shape ``[n]``, in ms."""
        return np.array([self.explain(network).latency_ms for network in networks], dtype=np.float64)

    # -- what users call ----------------------------------------------------------------------------------

    @overload  # a text is also a sequence of texts, but a name comes first
    def predict(  # type: ignore[overload-overlap]
        self, networks: NetworkLike, *, input_shapes: InputShapes | None = None
    ) -> Prediction: ...

    @overload
    def predict(self, networks: Sequence[NetworkLike]) -> NDArray[np.float64]: ...

    @overload
    def predict(self, networks: NDArray[Any]) -> Any: ...  # one row or several: only the array knows

    def predict(
        self, networks: Input | Inputs, *, input_shapes: InputShapes | None = None
    ) -> Prediction | NDArray[np.float64]:
        """Predict one network, or several.

        Args:
            networks: one network or encoding of shape ``[d]``; or a list of n networks, or encodings of shape
                ``[n, d]``.
            input_shapes: shapes of the inputs, for one torch module.

        Returns:
            For one network a `Prediction`; for several the latencies in ms, shape ``[n]``.
        """
        if not are_several(networks):
            return self.explain(cast(Input, networks), input_shapes=input_shapes)
        if input_shapes is not None:
            raise UsageError("input_shapes with a list of networks", hint="predict torch modules one by one")
        return self.predict_batch(networks)

    def predict_interval(self, networks: Inputs, coverage: float = 0.9) -> NDArray[np.float64]:
        """Intervals that hold the measured latencies with probability ``coverage``.

        Args:
            networks: n networks.
            coverage: in (0, 1).

        Returns:
            Lower and upper ends in ms, shape ``[n, 2]``.
        """
        checked_coverage(coverage)
        predictions = (self.explain(network, coverage=coverage) for network in listed(networks))
        ends = [(prediction.low_ms, prediction.high_ms) for prediction in predictions]
        return np.array(ends, dtype=np.float64).reshape(-1, 2)

    def score(self, networks: Inputs, latencies_ms: ArrayLike) -> float:
        """Share of networks, in [0, 1], that are predicted within ±10 % of their measured latency."""
        measured = training_latencies(networks, latencies_ms)
        return metrics.within(measured, self.predict_batch(networks), 10)

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  # scikit-learn passes it
        """Constructor parameters by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Replace constructor parameters; what was learned stays until the next `fit`.

        Raises:
            UsageError: a name that the constructor does not have; nothing is replaced.
        """
        known = self._parameter_names()
        unknown = sorted(set(params) - set(known))
        if unknown:
            raise UsageError(
                f"{type(self).__name__} has no parameter {', '.join(unknown)}", hint=f"known: {', '.join(known)}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the predictor to a folder (a JSON card, arrays, checksums; no pickle).

        Args:
            path: the folder to make.
            overwrite: replace an earlier predictor there.

        Returns:
            The folder.

        Raises:
            UsageError: the path exists.
            ArtifactError: it cannot be written.
        """
        return write_artifact(self.to_artifact(), path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: Fingerprint | str | None = None) -> Self:
        """Read a predictor that `save` wrote. ``LatencyPredictor.load`` reads any kind.

        Args:
            path: the folder.
            device: what it must be a predictor of: a fingerprint, or a name; None takes any.

        Raises:
            FingerprintMismatchError: it is a predictor of another device.
            ArtifactError: there is none, or it is of another kind than the class.
            CorruptArtifactError: it is damaged, or was altered after it was saved.
            FormatVersionError: a newer version of Lutra wrote it.
            UnknownNameError: a kind that no installed package brings.
        """
        artifact = read_artifact(path)
        found = predictor_class(artifact.kind)
        if not issubclass(found, cls):
            raise ArtifactError(
                f"{path} holds a {found.__name__}, not a {cls.__name__}", hint="load it with LatencyPredictor.load"
            )
        if device is not None:
            _require_device(artifact, path, device)
        return found.from_artifact(artifact)


def _require_device(artifact: Artifact, path: str | os.PathLike[str], device: Fingerprint | str) -> None:
    if isinstance(device, str):
        name = artifact.device.get("name")
        differences = [] if name == device else [f"name: {device} -> {name}"]
    elif artifact.fingerprint is None:
        differences = [f"fingerprint: {device.digest[:12]} -> none was saved"]
    else:
        differences = device.differences(artifact.fingerprint)
    if differences:
        raise FingerprintMismatchError(
            f"the predictor at {path} is for another device (wanted -> saved)",
            differences,
            hint="load the predictor of this device, or fit one on its measurements",
        )


def identity(device: str, fingerprint: Fingerprint | None) -> dict[str, Any]:
    """What a `Prediction` says of the device, where nothing but its name and perhaps its fingerprint is known."""
    return {
        "device": device,
        "runtime": "unknown runtime" if fingerprint is None else fingerprint.runtime_name,
        "threads": 1 if fingerprint is None else fingerprint.threads,
        "simulated": fingerprint is not None and fingerprint.kind != "real",
    }


def are_several(networks: Input | Inputs) -> TypeGuard[Inputs]:
    """Whether this is a list of networks or a table of encodings, and not one of them."""
    if isinstance(networks, np.ndarray):
        return networks.ndim != 1
    return isinstance(networks, Sequence) and not isinstance(networks, str)


def listed(networks: Inputs) -> Inputs:
    """The networks or encodings, if they are several.

    Raises:
        UsageError: one network alone, or something else.
    """
    if not are_several(networks):
        raise UsageError(
            f"networks is one {type(networks).__name__}", hint="give a list of networks, or encodings [n, d]"
        )
    return networks


def checked_coverage(coverage: float) -> float:
    """The coverage, if it is one.

    Raises:
        UsageError: not strictly between 0 and 1.
    """
    if not isinstance(coverage, int | float) or not (math.isfinite(coverage) and 0 < coverage < 1):
        raise UsageError(f"coverage is {coverage!r}", hint="give a probability between 0 and 1, such as 0.9")
    return float(coverage)


def training_latencies(networks: Inputs, latencies_ms: ArrayLike) -> NDArray[np.float64]:
    """The latencies, shape ``[n]``, if there is a positive one for each of the n networks.

    Raises:
        UsageError: otherwise.
    """
    measured = metrics.checked_latencies(latencies_ms, "measured")
    if len(measured) != len(listed(networks)):
        raise UsageError(f"{len(networks)} networks and {len(measured)} latencies", hint="give one latency a network")
    return measured
