"""`OnceForAll`: accuracies of a space's networks with a trained supernet's weights, measured or predicted."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ....networks import Network
from ....networks.errors import UsageError
from ...spaces import Codes
from .._registry import register
from ..base import AccuracyEstimator, Floats, NoScoreError
from ..data import ImageSet
from ..data_augmentation import Batches
from ..lessons import evaluate
from .predictor import AccuracyPredictor
from .serving import Calibration, ready_subnet
from .supernet import ElasticSupernet

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_EVALUATED = 500  # images at once


@register("once-for-all")
class OnceForAll(AccuracyEstimator):
    """Takes each network out of a supernet, calibrates its batch norms, and reports its accuracy on held-out images.

    With `learn`, a perceptron learns from some architectures, and `predicted_pct` answers for all others in
    microseconds; a search asks that.

    Args:
        net: the trained supernet (`shrink`, `load_supernet`).
        calibration: for batch norms.
        held_out: to judge by.
        seed: of the sample and the perceptrons of `learn`.

    Attributes:
        net: the same.
        predictor: what `learn` has made, or None.
        seconds: what `learn` took.
    """

    meaning = "shared_accuracy_pct"

    def __init__(
        self,
        net: ElasticSupernet | None = None,
        calibration: Calibration | None = None,
        held_out: ImageSet | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if net is None or calibration is None or held_out is None:
            raise UsageError(
                "once-for-all needs a trained supernet, images to calibrate it by, and held-out ones",
                hint="train one with shrink(...), and give OnceForAll(net, calibration, held_out)",
            )
        held_out.require_fit(net.largest_network)
        self.net, self.calibration = net, calibration
        self.predictor: AccuracyPredictor | None = None
        self.seconds = 0.0
        self._batches = Batches(held_out, _EVALUATED, statistics=calibration.statistics)

    def measured_pct(self, codes: npt.ArrayLike) -> Floats:
        """Accuracies, [n], of architectures, [n, d]; each is taken out, calibrated and evaluated.

        Raises:
            UsageError: no valid codes.
        """
        valid = self.net.space.validate(codes)
        modules = (ready_subnet(self.net, code, self.calibration).module for code in valid)
        return np.array([evaluate(module, self._batches) for module in modules], np.float64)

    def learn(self, samples: int, hidden: Sequence[int] = (400, 400, 400)) -> AccuracyPredictor:
        """Measure random architectures, and learn to predict the others.

        Args:
            samples: how many are measured.
            hidden: see `AccuracyPredictor`.

        Raises:
            UsageError: fewer than two.
        """
        start = time.perf_counter()
        codes = self.net.space.sample(samples, np.random.default_rng(self.seed))
        self.predictor = AccuracyPredictor(self.net.space, hidden=hidden, seed=self.seed)
        self.predictor.fit(codes, self.measured_pct(codes))
        self.seconds = time.perf_counter() - start
        return self.predictor

    def predicted_pct(self, codes: npt.ArrayLike) -> Floats:
        """Accuracies, [n], of architectures, [n, d], as the predictor has learned them.

        Raises:
            UsageError: no valid codes, or nothing was learned.
        """
        if self.predictor is None:
            raise UsageError("no accuracies were learned", hint="call learn(samples) first")
        return self.predictor.predict(codes)

    def _score(self, network: Network) -> float:
        return float(self.measured_pct(self._code(network))[0])

    def _code(self, network: Network) -> Codes:
        """The code in a network's name, if it is the network of that code."""
        space, (_, _, digits) = self.net.space, network.name.rpartition("/")
        separated = digits.split(".") if "." in digits else list(digits)
        try:
            code = np.array([[_DIGITS.index(d) if len(d) == 1 else int(d) for d in separated]], np.int64)
            found = space.decode(code)
        except (ValueError, UsageError):
            found = None
        if found is None or found.fingerprint != network.fingerprint:
            raise NoScoreError(f"it is no network that the space {space.name} decodes to")
        return space.validate(code)
