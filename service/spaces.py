"""Search spaces named on the command line: registered ones, and files of the user's own."""

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..nas.spaces import SearchSpace
    from ..networks import Network

_VARIABLE: Final = "space"


def space_of(text: str) -> "SearchSpace":
    """The space that an argument names: ``proxyless``, ``ofa-mbv3@160,224``, or a Python file.

    A file is run, with all that the user may do: it is the user's own code, named by the user. It leaves the space,
    or a function without arguments that makes it, in a variable called ``space``.

    Raises:
        UnknownNameError: no space of that name.
        UsageError: the file is not there, fails, or leaves no space.
    """
    from ..nas import spaces

    return _from_file(Path(text)) if text.endswith(".py") else spaces.build(text)


def _from_file(path: Path) -> "SearchSpace":
    from ..nas.spaces import SearchSpace
    from ..networks.errors import UsageError

    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give the path of a Python file that defines a space")
    found = _run(path)
    if not isinstance(found, SearchSpace):
        raise UsageError(
            f"{path} defines no search space: {_VARIABLE!r} is {type(found).__name__}",
            hint=f"let it hold a SearchSpace, such as {_VARIABLE} = ChainSpace(...), or a function that returns one",
        )
    return found


def _run(path: Path) -> Any:
    """What the file's variable holds, called if it is a function; its own failures as errors that name the line."""
    from ..networks.errors import LutraError, UsageError

    name = f"_lutra_space_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
        found = getattr(module, _VARIABLE, None)
        return found() if callable(found) else found
    except LutraError:
        raise
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == os.path.abspath(path)]
        lines += [error.lineno] if isinstance(error, SyntaxError) else []
        where = f" at line {lines[-1]}" if lines else ""
        raise UsageError(f"{path} fails{where}: {reason}", hint="run it with python to see more") from error


def random_networks(space: "SearchSpace", count: int, *, seed: int) -> "list[Network]":
    """``count`` random networks of a space; always the same for one seed.

    Raises:
        UsageError: ``count`` is negative.
    """
    import numpy as np

    return [space.decode(code) for code in space.sample(count, np.random.default_rng(seed))]
