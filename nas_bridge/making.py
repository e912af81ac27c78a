"""`make_oracle`: the oracle for whatever a latency is known from."""

import logging
from typing import TypeAlias

from ..luts import Table
from ..luts.blocktable import BlockTable
from ..luts.table import ALIASES_DOCUMENT, FUSION_DOCUMENT
from ..networks.errors import MissingDependencyError, UsageError
from ..predictors import LatencyPredictor, LearnedPredictor, TablePredictor, TransferPredictor, table_predictor
from ..predictors.encoding import Encoding
from .asked import FunctionOracle, Timer
from .chains import BlockOracle, TableOracle
from .learned import Encode, EncodingOracle, NetworkOracle
from .oracle import LatencyOracle
from .space import CodedSpace

Source: TypeAlias = LatencyOracle | Table | BlockTable | LatencyPredictor | Timer
"""What a latency is known from: an oracle, a table of kernels or of building blocks, a predictor, or a function that
times a network."""

_log = logging.getLogger(__name__)


def make_oracle(
    source: Source,
    space: CodedSpace,
    *,
    device: str | None = None,
    encode: Encode | None = None,
) -> LatencyOracle:
    """The oracle of a space over any source.

    ======================================  ============================================================
    source                                  oracle
    ======================================  ============================================================
    a table of building blocks              `BlockOracle`
    a table of kernels, or its predictor    `TableOracle` where the space is a chain, else `NetworkOracle`
    a predictor fitted to encodings         `EncodingOracle`
    a predictor fitted to networks          `NetworkOracle`
    a function that times a network         `FunctionOracle`
    an oracle                               itself
    ======================================  ============================================================

    A table of kernels whose runtime is not installed here has each network lowered by the rules that are stored with it
    (`NetworkOracle`), which is slower.

    Args:
        source: what the latency is known from.
        space: whose codes are asked.
        device: name of the device; None takes the source's.
        encode: makes the encodings that a predictor was fitted to of codes; None where these are the codes themselves.

    Raises:
        UsageError: something else, a predictor without `fit`, or ``encode`` for a source without encodings.
        NotSupportedError: the source says nothing about such a space.
    """
    if encode is not None and not (isinstance(source, LatencyPredictor) and _takes_encodings(source)):
        raise UsageError("encode is for predictors that were fitted to encodings", hint="leave it out")
    if isinstance(source, LatencyOracle):
        return _itself(source, space, device)
    if isinstance(source, BlockTable):
        return BlockOracle(space, source, device=device)
    if isinstance(source, Table):
        return _of_table(table_predictor(source), space, device)
    if isinstance(source, LatencyPredictor):
        if _takes_encodings(source):
            return EncodingOracle(space, source, encode=encode, device=device)
        # What is derived from it may add up in its own way.
        return (
            _of_table(source, space, device)
            if type(source) is TablePredictor
            else NetworkOracle(space, source, device=device)
        )
    if callable(source):
        return FunctionOracle(space, source, device=device or "unnamed device")
    raise UsageError(
        f"a latency cannot be known from a {type(source).__name__}",
        hint="give a table, a predictor, a function that times a network, or an oracle",
    )


def _takes_encodings(predictor: LatencyPredictor) -> bool:
    if not isinstance(predictor, LearnedPredictor | TransferPredictor):
        return False
    if predictor.fitted_ is None:
        raise UsageError(f"this {type(predictor).__name__} has learned nothing yet", hint="call fit first")
    if isinstance(predictor, LearnedPredictor):
        return predictor.fitted_.domain.values is not None
    return isinstance(predictor.fitted_.prior.encoding, Encoding)


def _itself(oracle: LatencyOracle, space: CodedSpace, device: str | None) -> LatencyOracle:
    if oracle.space is not space or device not in (None, oracle.device):
        raise UsageError(
            f"an oracle of {oracle.device} on the space {oracle.space.name!r} was given for another",
            hint="make an oracle for this space and device",
        )
    return oracle


def _of_table(predictor: TablePredictor, space: CodedSpace, device: str | None) -> LatencyOracle:
    if not space.chains():
        return NetworkOracle(space, predictor, device=device)
    try:
        return TableOracle(space, predictor, device=device)
    except MissingDependencyError as error:
        if not {FUSION_DOCUMENT, ALIASES_DOCUMENT} <= set(predictor.table.documents):
            raise
        _log.info("%s; networks of %s are lowered one by one, by the table's rules", error.message, space.name)
        return NetworkOracle(space, predictor, device=device)
