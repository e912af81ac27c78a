"""`MlpPredictor`: multilayer perceptrons that correct the closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from ..luts import Fingerprint
from ..networks.errors import MissingDependencyError
from ._batch import Batch
from ._domain import Domain
from ._features import amounts_width, regressor_inputs, regressor_start
from ._registry import register
from .learned import LearnedPredictor, Model
from .linear import AdditiveModel, additive_model

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Layers = tuple[tuple[Singles, Singles], ...]

_MARGIN: Final = 0.25  # standard deviations beyond the samples from which on inputs are held


@dataclass(frozen=True)
class MlpModel:
    """Perceptrons whose mean corrects an additive model. Letters: m members, f numbers of an input.

    ``latency = additive * exp(spread * mean over members of mlp((numbers - centre) / scale))``, the inputs of the
    perceptrons kept within what the samples had, so that beyond it the additive model alone goes on.

    Attributes:
        additive: the model that is corrected; it sees the first of the numbers.
        start: the perceptrons see those from this one on.
        centre: of each input number, shape ``[f]``.
        scale: of each, shape ``[f]``.
        low: least standardised input, shape ``[f]``.
        high: greatest, shape ``[f]``.
        spread: scale of the correction, a logarithm.
        layers: weights ``[m, in, out]`` and biases ``[m, 1, out]``, with rectifiers in between.
    """

    additive: AdditiveModel
    start: int
    centre: Singles
    scale: Singles
    low: Singles
    high: Singles
    spread: float
    layers: Layers

    def latencies_ms(self, prepared: Singles) -> Floats:
        latencies = self.additive.latencies_ms(prepared[:, : len(self.additive.coefficients)])
        return np.asarray(latencies * np.exp(self._corrections(prepared[:, self.start :])), np.float64)

    @cached_property
    def _first(self) -> tuple[Singles, Singles, Singles, Singles]:
        """The first layer of all members as one product of the numbers as they come: bounds of these, ``[f]``, weights
        ``[f, m h]`` and biases ``[m h]``."""
        weights, biases = self.layers[0]
        inputs, outputs = weights.shape[1], weights.shape[0] * weights.shape[2]
        side = weights.transpose(1, 0, 2).reshape(inputs, outputs) / self.scale[:, None]
        offsets = biases.reshape(outputs) - self.centre @ side
        return self.low * self.scale + self.centre, self.high * self.scale + self.centre, side, offsets

    def _corrections(self, numbers: Singles) -> Singles:
        low, high, side, offsets = self._first
        values: Singles = np.clip(numbers, low, high) @ side
        values += offsets
        members = len(self.layers[0][0])
        values = values.reshape(len(values), members, -1).transpose(1, 0, 2)
        for weights, biases in self.layers[1:]:
            values = np.matmul(np.maximum(values, 0), weights)
            values += biases
        return np.asarray(np.float32(self.spread) * values[..., 0].mean(axis=0), np.float32)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        state, arrays = self.additive.state()
        own = {"centre": self.centre, "scale": self.scale, "low": self.low, "high": self.high}
        for number, (weights, biases) in enumerate(self.layers):
            own |= {f"weights{number}": weights, f"biases{number}": biases}
        more = {"start": self.start, "spread": self.spread, "layers": len(self.layers)}
        return state | more, {**arrays, **own}

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "MlpModel":
        """What `state` described."""
        layers = tuple((arrays[f"weights{n}"], arrays[f"biases{n}"]) for n in range(int(state["layers"])))
        return cls(
            additive=AdditiveModel.restored(state, arrays),
            start=int(state["start"]),
            centre=arrays["centre"],
            scale=arrays["scale"],
            low=arrays["low"],
            high=arrays["high"],
            spread=float(state["spread"]),
            layers=layers,
        )


@register("mlp")
class MlpPredictor(LearnedPredictor[Singles]):
    """Perceptrons on fixed numbers of a network (its ops pooled by kind), or on encodings.

    They learn the logarithm of what the closed form (`AdditivePredictor`) leaves over, so that with few samples, and
    beyond them, the closed form is what remains. Several are trained at once from different beginnings and averaged.
    Training needs torch; predicting does not.

    Args:
        device: what people call the device.
        fingerprint: its identity, where it is known.
        seed: of everything random.
        width: of the hidden layers.
        depth: how many hidden layers.
        members: how many perceptrons are averaged.
        steps: of gradient descent.
        learning_rate: at its height.
        weight_decay: of AdamW (Loshchilov, Hutter, arXiv:1711.05101).
    """

    def __init__(
        self,
        device: str = "unnamed device",
        *,
        fingerprint: Fingerprint | None = None,
        seed: int = 0,
        width: int = 32,
        depth: int = 2,
        members: int = 4,
        steps: int = 600,
        learning_rate: float = 1e-3,
        weight_decay: float = 1.0,
    ) -> None:
        super().__init__(device, fingerprint=fingerprint, seed=seed)
        self.width = width
        self.depth = depth
        self.members = members
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def _check_parameters(self) -> None:
        self._require_counts("width", "depth", "members", "steps")
        self._require_rates()

    def _prepared(self, batch: Batch, domain: Domain) -> Singles:
        return regressor_inputs(batch, domain)

    def _trained(self, prepared: Singles, latencies_ms: Floats, domain: Domain) -> Model[Singles]:
        try:
            from ._perceptrons import trained
        except ImportError:
            raise MissingDependencyError("torch", "learn", "training an MLP") from None
        width, start = amounts_width(domain), regressor_start(domain)
        additive = additive_model(prepared[:, :width].astype(np.float64), latencies_ms, domain)
        left_over = np.log(latencies_ms / additive.latencies_ms(prepared[:, :width]))
        numbers = prepared[:, start:]
        centre, scale = numbers.mean(axis=0), numbers.std(axis=0)
        scale = np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
        standard = (numbers - centre) / scale
        spread = max(float(left_over.std()), 1e-6)
        layers = trained(
            standard,
            (left_over / spread).astype(np.float32)[:, None],
            hidden=(self.width,) * self.depth,
            members=self.members,
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )
        low, high = standard.min(axis=0) - _MARGIN, standard.max(axis=0) + _MARGIN
        return MlpModel(additive, start, centre, scale, cast(Singles, low), cast(Singles, high), spread, layers)

    def _restored(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Model[Singles]:
        return MlpModel.restored(state, arrays)
