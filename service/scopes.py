"""What a token may allow: each scope includes those before it."""

from typing import Final, Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["read", "profile", "admin"]
"""``read``: look and predict. ``profile``: also measure, import, run jobs. ``admin``: also delete, and make tokens."""

_ORDER: Final[tuple[str, ...]] = get_args(Scope)


def includes(held: str, needed: str) -> bool:
    """Whether what ``held`` allows is enough for ``needed``; what is no scope allows nothing."""
    return held in _ORDER and needed in _ORDER and _ORDER.index(held) >= _ORDER.index(needed)
