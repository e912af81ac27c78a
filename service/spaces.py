"""Search spaces named on the command line: registered ones, and files of the user's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from .user_code import failing_in, run_file

if TYPE_CHECKING:
    from ..nas.spaces import SearchSpace
    from ..networks import Network

_VARIABLE: Final = "space"


def space_of(text: str) -> "SearchSpace":
    """The space that an argument names: ``proxyless``, ``ofa-mbv3@160,224``, or a Python file.

    A file is run (`run_file`). It leaves the space, or a function without arguments that makes it, in a variable called
    ``space``.

    Raises:
        UnknownNameError: no space of that name.
        UsageError: the file is not there, fails, or leaves no space.
    """
    from ..nas import spaces

    return _from_file(Path(text)) if text.endswith(".py") else spaces.build(text)


def _from_file(path: Path) -> "SearchSpace":
    from ..nas.spaces import SearchSpace
    from ..networks.errors import UsageError

    module = run_file(path, "a space")
    with failing_in(path):
        found = getattr(module, _VARIABLE, None)
        found = found() if callable(found) else found
    if not isinstance(found, SearchSpace):
        raise UsageError(
            f"{path} defines no search space: {_VARIABLE!r} is {type(found).__name__}",
            hint=f"let it hold a SearchSpace, such as {_VARIABLE} = ChainSpace(...), or a function that returns one",
        )
    return found


def random_networks(space: "SearchSpace", count: int, *, seed: int) -> "list[Network]":
    """``count`` random networks of a space; always the same for one seed.

    Raises:
        UsageError: ``count`` is negative.
    """
    import numpy as np

    return [space.decode(code) for code in space.sample(count, np.random.default_rng(seed))]
