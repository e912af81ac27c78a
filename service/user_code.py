"""Python files of the user's own that a command is given: run as they are, their failures told by line."""

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def run_file(path: Path, purpose: str) -> ModuleType:
    """Run a Python file, with all that the user may do: it is the user's own code, named by the user.

    Args:
        path: the file.
        purpose: what it is to define, for the error where there is no such file ("a space").

    Raises:
        UsageError: the file is not there, or fails.
    """
    from ..networks.errors import UsageError

    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint=f"give the path of a Python file that defines {purpose}")
    name = f"_lutra_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    with failing_in(path):
        spec.loader.exec_module(module)
    return module


@contextmanager
def failing_in(path: Path) -> Iterator[None]:
    """Turn what the user's code raises into an error that names the line; errors of Lutra pass as they are.

    Raises:
        UsageError: the code inside raised something else.
    """
    from ..networks.errors import LutraError, UsageError

    try:
        yield
    except LutraError:
        raise
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == os.path.abspath(path)]
        lines += [error.lineno] if isinstance(error, SyntaxError) else []
        where = f" at line {lines[-1]}" if lines else ""
        raise UsageError(f"{path} fails{where}: {reason}", hint="run it with python to see more") from error
