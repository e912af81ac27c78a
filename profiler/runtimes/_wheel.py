"""Finding a shared library inside the installed wheel that brings it, without importing the wheel."""

import importlib.util
from pathlib import Path


def library_in(package: str, folder: str, pattern: str) -> Path | None:
    """The shared library that ``pattern`` names in a folder of a package; None where either is absent."""
    spec = importlib.util.find_spec(package)
    for place in spec.submodule_search_locations or () if spec else ():
        found = sorted(Path(place, folder).glob(pattern))
        if found:
            return found[0]
    return None
