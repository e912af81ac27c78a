"""What belongs to the request that is being answered."""

from contextvars import ContextVar

_REQUEST: ContextVar[str] = ContextVar("request", default="-")


def request_id() -> str:
    """The number under which the server's log has the request; "-" outside of one."""
    return _REQUEST.get()


def set_request_id(number: str) -> None:
    """Say which request is being answered from here on."""
    _REQUEST.set(number)
