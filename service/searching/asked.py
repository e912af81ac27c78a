"""What options of ``lutra search`` say as text: devices with budgets, counts, parameters of strategies, files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_FACTORS: Final = {"k": 1e3, "M": 1e6, "G": 1e9}


def also_of(texts: list[str]) -> dict[str, float]:
    """The devices and budgets that ``NAME=MS`` stand for.

    Raises:
        UsageError: one is something else.
    """
    from ...networks.errors import UsageError

    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[placed(name)] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--also {text!r} is no device with a budget", hint="write it as --also phone=30")
    return found


def count_of(option: str, text: str | None) -> float | None:
    """The number that ``300M`` is; None for None."""
    from ...networks.errors import UsageError

    if text is None:
        return None
    number, factor = (text[:-1], _FACTORS[text[-1]]) if text[-1:] in _FACTORS else (text, 1.0)
    try:
        count = float(number) * factor
    except ValueError:
        count = 0.0
    if not 0 < count < float("inf"):
        raise UsageError(f"{option} {text!r} is no number of them", hint=f"write it as {option} 300M")
    return count


def parameters_of(strategy: str, texts: list[str]) -> dict[str, Any]:
    """The parameters of a strategy, each as its default is: a whole number, a number, or a text.

    Raises:
        UnknownNameError: no such strategy.
        UsageError: it has no such parameter, or one of another kind.
    """
    from ...networks.errors import UsageError
    from .parameters import defaults

    known = defaults(strategy)
    parameters: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            listed = ", ".join(f"{n}={default}" for n, default in known.items()) or "none"
            raise UsageError(f"--set {text!r} is no parameter of {strategy}", hint=f"it has: {listed}")
        parameters[name] = _like(known[name], value, text)
    return parameters


def _like(default: Any, value: str, text: str) -> Any:
    """A value of the kind that a default is; where there is none, the first kind that it can be."""
    from ...networks.errors import UsageError

    known: dict[type, tuple[Callable[[str], Any], ...]] = {
        bool: (_truth,), int: (int,), float: (float,), type(None): (int, float, str),
    }  # fmt: skip
    for kind in known.get(type(default), (str,)):
        try:
            return kind(value)
        except ValueError:
            continue
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
    raise UsageError(f"--set {text!r} is not {wanted}", hint=f"its default is {default}")


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError
    return value.lower() == "true"


def absolute(path: str | None) -> str | None:
    """A path from the root; None for None."""
    return None if path is None else str(Path(path).resolve())


def placed(text: str) -> str:
    """A name as it is; a file with its whole path, so that the search can go on from another folder."""
    path, colon, rest = text.rpartition(":")
    for file, behind in ((text, ""), (path, colon + rest)):
        if Path(file).suffix and Path(file).is_file():
            return str(Path(file).resolve()) + behind
    return text


def store_of(text: str) -> str:
    """A store's URL as it is, its file from the root."""
    return text if "://" in text else str(Path(text).resolve())
