"""What a token may allow: each scope includes those before it."""

from typing import Final, Literal, TypeAlias, get_args

from ..networks.errors import ForbiddenError

Scope: TypeAlias = Literal["read", "profile", "admin"]
"""``read``: look and predict. ``profile``: also measure, import, run jobs. ``admin``: also delete, and make tokens."""

_ORDER: Final[tuple[str, ...]] = get_args(Scope)


def includes(held: str, needed: str) -> bool:
    """Whether what ``held`` allows is enough for ``needed``; what is no scope allows nothing."""
    return held in _ORDER and needed in _ORDER and _ORDER.index(held) >= _ORDER.index(needed)


def require_scope(held: str, needed: Scope) -> None:
    """Refuse what ``held`` does not allow.

    Raises:
        ForbiddenError: it does not include ``needed``.
    """
    if not includes(held, needed):
        raise ForbiddenError(
            f"this needs a token of scope {needed!r}; yours is {held!r}",
            hint=f"make one with: lutra token create NAME --scope {needed}",
        )
