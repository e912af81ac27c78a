"""Pictures to pixels, with Pillow: once, into one array, in as many threads as there are processors.

Threads help where pictures are large; of small ones, Python's own work on each is the larger part.
"""

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import psutil

from ...networks.errors import ImageDataError, MissingDependencyError

Pixels: TypeAlias = npt.NDArray[np.uint8]
Read: TypeAlias = Callable[[int], bytes]
"""The bytes of a picture, by its number."""

FORMATS: Final = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM")
"""What is decoded. Pillow's rarer formats are left alone: each is another parser of bytes from outside."""

_MOST_PIXELS: Final = 1 << 26  # of one picture; more is a bomb, not a photograph
_CHUNK: Final = 256


class _DamageError(Exception):
    """What is wrong with one picture, and what to do about it."""

    def __init__(self, problem: str, hint: str = "mend or remove the image") -> None:
        super().__init__(problem)
        self.hint = hint


def decode(source: str, count: int, read: Read, *, size: tuple[int, int] | None = None) -> Pixels:
    """Pictures as uint8 [n, 3, h, w].

    Args:
        source: where they are from, for errors.
        count: n, how many there are.
        read: gives the bytes of each.
        size: h and w, to which pictures are scaled, and cut in the middle; None where all have one size.

    Raises:
        ImageDataError: no picture, one that is damaged, one of another size than the first, or more than memory holds.
        MissingDependencyError: Pillow is not installed.
    """
    if count == 0:
        raise ImageDataError(source, "there are no images in it", hint="give one image or more")
    if size is None:
        try:
            size, fit = _picture(read(0)).shape[1:], False
        except _DamageError as damage:
            raise _damaged(source, 0, damage, 1) from None
    else:
        fit = True
    require_memory(source, count, 3 * size[0] * size[1])
    pixels = np.empty((count, 3, *size), np.uint8)

    def work(start: int) -> list[tuple[int, _DamageError]]:
        wrong = []
        for row in range(start, min(start + _CHUNK, count)):
            try:
                picture = _picture(read(row), size if fit else None)
                _require_size(picture, size)
                pixels[row] = picture
            except _DamageError as damage:
                wrong.append((row, damage))
        return wrong

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [entry for chunk in pool.map(work, range(0, count, _CHUNK)) for entry in chunk]
    if wrong:
        raise _damaged(source, *wrong[0], len(wrong))
    return pixels


def require_memory(source: str, count: int, bytes_each: int) -> None:
    """Raises `ImageDataError` where ``count`` images do not fit into the memory that is free."""
    needed, free = count * bytes_each, psutil.virtual_memory().available
    if needed > free:
        raise ImageDataError(
            source,
            f"{count} images take {needed / 2**30:.1f} GiB of memory, of which {free / 2**30:.1f} are free",
            hint="give a smaller size, or fewer images",
        )


def _picture(content: bytes, size: tuple[int, int] | None = None) -> Pixels:
    """One picture, [3, h, w], scaled to ``size`` if given.

    Raises:
        _DamageError: it cannot be decoded.
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError("Pillow", "learn", "decoding images") from None
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise _DamageError(f"it claims to have {opened.width} x {opened.height} pixels")
            picture: Any = opened.convert("RGB")
    except UnidentifiedImageError:  # whose own message is the address of a buffer
        raise _DamageError(f"it is no picture of a form that is read ({', '.join(FORMATS)})") from None
    except (OSError, ValueError, SyntaxError, IndexError, EOFError, Image.DecompressionBombError) as error:
        raise _DamageError(f"it cannot be decoded ({error})") from None
    if size is not None and (picture.height, picture.width) != size:
        picture = ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture).transpose(2, 0, 1)


def _require_size(picture: Pixels, size: tuple[int, ...]) -> None:
    if picture.shape[1:] != size:
        height, width = picture.shape[1:]
        raise _DamageError(
            f"it is {height} x {width} pixels, the first {size[0]} x {size[1]}",
            hint="give the size to which all are scaled: size=(height, width)",
        )


def _damaged(source: str, row: int, damage: _DamageError, count: int) -> ImageDataError:
    more = f" ({count} images are wrong)" if count > 1 else ""
    return ImageDataError(source, f"{damage}{more}", row=row, hint=damage.hint)
