"""Where images come from: `load_images` reads Parquet, folders of pictures, npz, and scikit-learn's digits."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...networks.errors import ImageDataError, UsageError
from ..arrays import read_arrays
from .data import ImageSet, as_labels, digits
from .data_decoding import decode

Size: TypeAlias = tuple[int, int] | None

_IMAGES: Final = ("image", "img")
_LABELS: Final = ("label", "labels", "fine_label")
_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm"})


def load_images(source: str | os.PathLike[str], *, size: int | tuple[int, int] | None = None) -> ImageSet:
    """Labelled images, decoded once.

    Args:
        source: "digits"; or a Parquet file as Hugging Face's data sets have it (a column ``image`` of encoded bytes, or
            of structs with ``bytes``, and a column ``label`` of integers); or a folder with a folder of pictures for
            each class; or an .npz file with ``images`` (uint8, channels first or last, or grey without channels),
            ``labels`` and perhaps ``classes``.
        size: height and width to which pictures are scaled; None keeps their own, which must be one and the same.
            Digits are repeated to it, and the arrays of an .npz file stay as they are.

    Raises:
        UsageError: a size that makes no sense.
        ImageDataError: nothing there, another form, no images, a damaged image, a label that is no class.
        MissingDependencyError: Pillow or scikit-learn is not installed.
    """
    wanted = _checked_size(size)
    if source == "digits":
        if wanted is not None and wanted[0] != wanted[1]:
            raise UsageError("digits are as wide as they are high", hint="give one number of pixels")
        return digits() if wanted is None else digits(wanted[0])
    path = Path(source).expanduser()
    if path.is_dir():
        return read_folder(path, wanted)
    if not path.is_file():
        raise ImageDataError(path, "there is no such file or folder", hint="give a path, or 'digits'")
    if path.suffix not in _READERS:
        raise ImageDataError(
            path, "it is of no form that is read here", hint=f"give a folder, or a file that ends in {_FORMS}"
        )
    return _READERS[path.suffix](path, wanted)


def _checked_size(size: int | tuple[int, int] | None) -> Size:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else size
    if len(pair) != 2 or any(not isinstance(n, int) or isinstance(n, bool) or not 0 < n <= 4096 for n in pair):
        raise UsageError(f"{size!r} is no size of images", hint="give pixels, 1 to 4096, or (height, width)")
    return pair


def read_parquet(path: Path, size: Size = None) -> ImageSet:
    """Images from a Parquet file; see `load_images`. Names of classes are read from its schema's metadata."""
    try:
        schema = pq.read_schema(path)
        image, label = (_column(path, schema, known) for known in (_IMAGES, _LABELS))
        table = pq.read_table(path, columns=[image, label])
    except (pa.ArrowException, OSError) as error:
        raise ImageDataError(path, f"it cannot be read ({error})", hint="fetch the file again") from None
    pictures = table[image]
    if pa.types.is_struct(pictures.type) and pictures.type.get_field_index("bytes") >= 0:
        pictures = pc.struct_field(pictures, "bytes")
    if not (pa.types.is_binary(pictures.type) or pa.types.is_large_binary(pictures.type)):
        raise ImageDataError(
            path, f"column {image!r} holds {pictures.type}", hint="keep encoded pictures in it, as bytes"
        )
    for name, column in ((image, pictures), (label, table[label])):
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise ImageDataError(path, f"column {name!r} is empty", row=row, hint="fill it in, or remove the row")
    labels, classes = as_labels(str(path), table[label].to_numpy(), _class_names(schema, label))
    return ImageSet(
        path.name, decode(str(path), len(pictures), lambda i: pictures[i].as_py(), size=size), labels, classes
    )


def _column(path: Path, schema: pa.Schema, known: tuple[str, ...]) -> str:
    for name in known:
        if name in schema.names:
            return name
    raise ImageDataError(
        path,
        f"it has no column {known[0]!r}; its columns: {', '.join(schema.names) or 'none'}",
        hint=f"name the column {' or '.join(known)}",
    )


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Names from ``classes`` (separated by commas) or from Hugging Face's description of the columns; or none."""
    metadata = schema.metadata or {}
    if b"classes" in metadata:
        return tuple(metadata[b"classes"].decode("utf-8", "replace").split(","))
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
        return tuple(map(str, names))
    except (KeyError, TypeError, ValueError):
        return ()


def read_folder(path: Path, size: Size = None) -> ImageSet:
    """Images from a folder of folders, one for each class, in the order of their names; see `load_images`."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    files, numbers = [], []
    for number, folder in enumerate(folders):
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _ENDINGS and file.is_file())
        if not found:
            raise ImageDataError(
                folder, "there are no pictures in it", hint=f"put files in it: {', '.join(sorted(_ENDINGS))}"
            )
        files += found
        numbers += [number] * len(found)
    if not files:
        raise ImageDataError(path, "it has no folder of pictures", hint="make a folder for each class")
    try:
        pixels = decode(str(path), len(files), lambda i: files[i].read_bytes(), size=size)
    except ImageDataError as error:
        if error.row is None:
            raise
        raise ImageDataError(files[error.row], error.problem, hint=error.hint) from None
    except OSError as error:
        raise ImageDataError(str(error.filename), str(error.strerror), hint="make the file readable") from None
    labels, classes = as_labels(str(path), np.array(numbers), [folder.name for folder in folders])
    return ImageSet(path.name, pixels, labels, classes)


def read_npz(path: Path, size: Size = None) -> ImageSet:
    """Images from an .npz file; see `load_images`."""
    if size is not None:
        raise UsageError("images of an .npz file are not scaled", hint="leave the size out")
    try:
        arrays = read_arrays(path, ("images", "labels", "classes"))
    except (OSError, ValueError) as error:
        raise ImageDataError(path, f"it cannot be read ({error})", hint="write it again with numpy.savez") from None
    if missing := [name for name in ("images", "labels") if name not in arrays]:
        raise ImageDataError(path, f"it has no array {missing[0]!r}", hint="write images=, labels= with numpy.savez")
    labels, classes = as_labels(str(path), arrays["labels"], [str(name) for name in arrays.get("classes", ())])
    return ImageSet(path.name, _channels_first(arrays["images"]), labels, classes)


def _channels_first(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images


def write_npz(images: ImageSet, path: str | os.PathLike[str]) -> None:
    """Write decoded images, so that reading them again decodes nothing."""
    np.savez(Path(path), images=images.images, labels=images.labels, classes=np.array(images.classes))


_READERS: Final[dict[str, Callable[[Path, Size], ImageSet]]] = {".parquet": read_parquet, ".npz": read_npz}
_FORMS: Final = " or ".join(_READERS)
