"""From what a request names to latencies: networks of any kind, codes of spaces, one or many."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...networks import Network
from ...networks.errors import LutraError, NotSupportedError, UsageError
from ...predictors import Prediction, TablePredictor
from ...predictors.base import checked_coverage
from ...predictors.prediction import SOURCES
from .knowledge import Knowledge, Known, Setting, checked_codes
from .uploads import Uploads

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace

DETAIL: Final = ("parts", "notes")
"""What an answer leaves out where nobody wants detail."""


@dataclass(frozen=True)
class Subject:
    """What is to be predicted: exactly one of the four.

    Attributes:
        zoo: a name of the zoo.
        options: batch and resolution for it.
        document: a network as JSON.
        upload: id of an uploaded file.
        code: numbers of one architecture of ``space``.
        space: name of a search space.
    """

    zoo: str | None = None
    options: tuple[tuple[str, int], ...] = ()
    document: dict[str, Any] | None = None
    upload: str | None = None
    code: tuple[int, ...] | None = None
    space: str | None = None

    @property
    def key(self) -> tuple[Any, ...] | None:
        """Names the subject among answers; None for a document, whose content has to be hashed first."""
        if self.document is not None:
            return None
        return (self.zoo, self.options, self.upload, self.space, self.code)


@dataclass(frozen=True)
class Wish:
    """How it is to be predicted.

    Attributes:
        coverage: of the interval.
        detail: with the split by kernel.
        exact: refuse what has kernels without a row.
    """

    coverage: float = 0.9
    detail: bool = True
    exact: bool = False


class Predicting:
    """Predictions from what the server knows.

    Args:
        knowledge: predictors, networks and spaces.
        uploads: uploaded files.
    """

    def __init__(self, knowledge: Knowledge, uploads: Uploads) -> None:
        self._knowledge = knowledge
        self._uploads = uploads

    def at_once(self, source: Setting | str, subject: Subject, wish: Wish) -> bytes | None:
        """An answer that takes well below a millisecond, as JSON; None where it has to be looked for in a thread.

        That is one that was given before, or a code whose space and table have been asked about before.

        Raises:
            LutraError: the code is none, or not covered.
        """
        known = self._knowledge.ready(source)
        if known is None or subject.key is None or subject.upload is not None:  # which may have been deleted
            return None
        if subject.code is not None and not wish.detail and not wish.exact and subject.space is not None:
            oracle = known.oracles.get(subject.space)
            return None if oracle is None else _of_code(known, oracle, subject.code, wish)
        return known.answers.get((subject.key, wish))

    def answer(self, source: Setting | str, subject: Subject, wish: Wish) -> bytes:
        """The answer as JSON, however long it takes.

        Raises:
            LutraError: as predictors, importers and stores raise.
        """
        checked_coverage(wish.coverage)
        known = self._knowledge.known(source)
        if subject.code is not None and not wish.detail and not wish.exact:
            assert subject.space is not None  # comes with a code
            oracle = self._knowledge.oracle(known, self._knowledge.space(subject.space))
            known.oracles.put(subject.space, oracle)  # under the name that was asked, too
            return _of_code(known, oracle, subject.code, wish)
        key, network = self._network(subject)
        if (found := known.answers.get((key, wish))) is not None:
            return found
        predictor = known.predictor
        if wish.exact:
            predictor = _exact(predictor)
        prediction = predictor.explain(network, coverage=wish.coverage)
        return known.answers.put((key, wish), _encoded(prediction, known, wish.detail))

    def of_network(self, source: Setting | str, network: Network, wish: Wish) -> bytes:
        """The answer for a network that nobody will ask for again, as JSON.

        Raises:
            LutraError: as predictors and stores raise.
        """
        known = self._knowledge.known(source)
        prediction = known.predictor.explain(self._knowledge.checked(network), coverage=checked_coverage(wish.coverage))
        return _encoded(prediction, known, wish.detail)

    def latencies(
        self, source: Setting | str, space: str, codes: list[list[int]], coverage: float | None
    ) -> dict[str, Any]:
        """Latencies of many codes of one space, and their intervals where a coverage is given.

        Raises:
            LutraError: one of them is no code, or not covered.
        """
        known = self._knowledge.known(source)
        found = self._knowledge.space(space)
        rows = checked_codes(found, codes)
        oracle = self._knowledge.oracle(known, found)
        simulated = {"simulated": oracle.simulated}
        if coverage is None:
            return _many(known, oracle.latencies_ms(rows), None, None) | simulated
        found_ms = oracle.estimates_ms(rows, checked_coverage(coverage))
        return _many(known, found_ms[:, 0], found_ms[:, 1:], coverage) | simulated

    def networks(self, source: Setting | str, subjects: list[Subject], coverage: float | None) -> dict[str, Any]:
        """Latencies of several networks, and their intervals where a coverage is given.

        Raises:
            LutraError: one of them cannot be predicted; its message begins with its number, from 0.
        """
        known = self._knowledge.known(source)
        predictions = []
        for number, subject in enumerate(subjects):
            try:
                _, network = self._network(subject)
                predictions.append(known.predictor.explain(network, coverage=checked_coverage(coverage or 0.9)))
            except LutraError as error:
                error.message = f"network {number}: {error.message}"
                raise
        latencies_ms = np.array([prediction.latency_ms for prediction in predictions])
        ends = np.array([(prediction.low_ms, prediction.high_ms) for prediction in predictions])
        simulated = any(prediction.simulated for prediction in predictions)
        return _many(known, latencies_ms, None if coverage is None else ends, coverage) | {"simulated": simulated}

    def _network(self, subject: Subject) -> tuple[Any, Network]:
        """The network, and what names it among answers."""
        if subject.document is not None:
            return self._knowledge.network_of_json(subject.document)
        if subject.zoo is not None:
            return subject.key, self._knowledge.network_of_zoo(subject.zoo, dict(subject.options))
        if subject.upload is not None:
            return subject.key, self._knowledge.checked(self._uploads.network(subject.upload))
        assert subject.space is not None  # a code comes with its space
        space: SearchSpace = self._knowledge.space(subject.space)
        return subject.key, self._knowledge.checked(space.decode(checked_codes(space, [subject.code])[0]))


def _exact(predictor: Any) -> TablePredictor:
    """The predictor, without interpolation."""
    if not isinstance(predictor, TablePredictor):
        raise UsageError("a saved predictor is asked for exact rows", hint="leave exact out, or name a device")
    strict = TablePredictor(predictor.table, predictor.name, prior_error=predictor.prior_error, interpolate=False)
    strict.scale_, strict.constant_ms_ = predictor.scale_, predictor.constant_ms_
    return strict


def _of_code(known: Known, oracle: Any, code: tuple[int, ...], wish: Wish) -> bytes:
    """The answer for one code: no parts, and nothing said of where they come from."""
    codes = checked_codes(oracle.space, [code])
    latency_ms, low_ms, high_ms = oracle.estimates_ms(codes, checked_coverage(wish.coverage))[0].tolist()
    fingerprint = None if known.device is None else known.device.fingerprint
    document = {
        "network": oracle.space.name,
        "device": oracle.device,
        "runtime": "" if fingerprint is None else fingerprint.runtime_name,
        "threads": 1 if fingerprint is None else fingerprint.threads,
        "latency_ms": latency_ms,
        "low_ms": low_ms,
        "high_ms": high_ms,
        "coverage": wish.coverage,
        "parts": None,
        "overhead_us": None,
        "simulated": oracle.simulated,
        "extrapolated": False,
        "notes": None,
        **{f"{source}_share": None for source in SOURCES},
        "table": known.mark,
    }
    return json.dumps(document, allow_nan=False).encode()


def _encoded(prediction: Prediction, known: Known, detail: bool) -> bytes:
    document = prediction.to_dict() | {"table": known.mark}
    if not detail:
        document |= dict.fromkeys(DETAIL)
    return json.dumps(document, allow_nan=False).encode()


def _many(
    known: Known, latencies_ms: NDArray[np.float64], ends: NDArray[np.float64] | None, coverage: float | None
) -> dict[str, Any]:
    if not np.isfinite(latencies_ms).all():
        raise NotSupportedError("a latency is no number", hint="ask for fewer, to find out which")
    return {
        "device": known.predictor.device if isinstance(known.predictor, TablePredictor) else "",
        "latencies_ms": latencies_ms.tolist(),
        "low_ms": None if ends is None else ends[:, 0].tolist(),
        "high_ms": None if ends is None else ends[:, 1].tolist(),
        "coverage": coverage,
        "table": known.mark,
    }
