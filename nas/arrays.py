"""Arrays from an .npz file that anybody may hand in: all of it or an error, whatever its bytes are."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

# What zipfile, zlib and numpy raise on damaged bytes; a RuntimeError among others where a bit says "encrypted", and
# NotImplementedError, which is one, where it says "compressed in another way".
_DAMAGE: Final = (
    EOFError, KeyError, MemoryError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; no objects are unpickled.

    Args:
        path: the file.
        names: which of the arrays, as far as they are there; None for all.

    Raises:
        ValueError: damaged, or no such file at all, or larger than the memory that is free; says what in one line.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            needed, free = sum(entry.file_size for entry in archive.infolist()), psutil.virtual_memory().available
            if needed > free:
                raise ValueError(f"it takes {needed / 2**30:.1f} GiB of memory, of which {free / 2**30:.1f} are free")
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files if names is None or name in names}
    except _DAMAGE as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
