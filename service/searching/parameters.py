"""The parameters that a strategy of search can be given, with their defaults."""

import inspect
from collections.abc import Iterable
from typing import Any


def defaults(strategy: str) -> dict[str, Any]:
    """The parameters that a strategy has, with their defaults.

    Raises:
        UnknownNameError: no such strategy.
    """
    from ...nas.searchers import searcher_class, searcher_kinds
    from ...networks.errors import UnknownNameError
    from . import gradient

    if gradient.is_kind(strategy):
        return gradient.defaults(strategy)
    if strategy not in searcher_kinds():
        raise UnknownNameError("strategy", strategy, {*searcher_kinds(), *gradient.kinds()})
    made = searcher_class(strategy)
    signature = inspect.signature(made).parameters
    return {name: signature[name].default for name in made.parameter_names()}


def require_known(strategy: str, names: Iterable[str]) -> dict[str, Any]:
    """The defaults of a strategy, which has parameters of these names.

    Raises:
        UnknownNameError: no such strategy.
        UsageError: it has no such parameter.
    """
    from ...networks.errors import UsageError

    known = defaults(strategy)
    for name in names:
        if name not in known:
            listed = ", ".join(f"{n}={default}" for n, default in known.items()) or "none"
            raise UsageError(f"{name!r} is no parameter of {strategy}", hint=f"it has: {listed}")
    return known
