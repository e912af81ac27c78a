"""The command line, the server and what asks it. Standard output is the result, standard error the log."""

if __name__ != "lutra.service":
    raise ImportError("import lutra.service, not service")

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name == "Client":  # brings the predictors, which the command line's quick verbs do without
        from .client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
