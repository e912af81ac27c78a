"""Opening the store of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..luts import Store


@contextmanager
def open_store(store: str | None, *, read_only: bool) -> "Iterator[Store | None]":
    """The store; None where it is only to be read and does not exist yet."""
    from ..luts import Store
    from ..luts.location import locate

    path = locate(store).path
    if read_only and path is not None and not path.exists():
        yield None
        return
    with Store.open(store, create=not read_only, read_only=read_only) as opened:
        yield opened


def require_store(opened: "Store | None") -> "Store":
    """The store.

    Raises:
        NotCoveredError: there is none yet.
    """
    from ..networks.errors import NotCoveredError

    if opened is None:
        raise NotCoveredError("there is no store yet", (), hint="profile a device first: lutra profile mobilenet_v2")
    return opened
