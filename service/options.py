"""Options that several commands share, and what they stand for."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..networks import Network

NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NETWORK...", help="Names from the zoo (* matches any), .onnx files, or network .json files."
    ),
]
OptionalNetworksArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...", help="Names from the zoo (* matches any), .onnx files, or network .json files."
    ),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NETWORK", help="A network, as the arguments are; may be repeated."),
]
SpacesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        metavar="SPACE",
        help="Every kernel of a search space: a name (lutra spaces), name@160,224, or your own .py file, which is run;"
        " may be repeated.",
    ),
]
CheckNetworksOption = Annotated[
    int,
    typer.Option("--check-networks", metavar="N", min=0, help="Random networks of each space to measure whole."),
]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", metavar="TIME", help="Stop in time, the most informative first: 90s, 10m or 2h."),
]
TargetErrorOption = Annotated[
    str | None,
    typer.Option("--target-error", metavar="PERCENT", help="Stop where interpolation is as good as that: 3% is usual."),
]
EventsOption = Annotated[
    str | None,
    typer.Option("--events", metavar="FILE", help="Add events as lines of JSON to a file; - for standard output."),
]
NewTableOption = Annotated[
    bool, typer.Option("--new-table", help="Where the machine has changed, begin a new table beside the old one.")
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait for another process that is profiling the device, instead of giving up.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        help="Device: 'host', 'cuda' for an NVIDIA GPU, 'null' for a stand-in; a board, GPU or CPU (lutra devices) or"
        " its .yaml is simulated.",
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="What runs networks on a board: lean, tflm-like, or your own .elf; lean if omitted.",
    ),
]
RuntimeOption = Annotated[
    str | None,
    typer.Option("--runtime", "-r", metavar="NAME", help="What runs the network; the best one installed if omitted."),
]
ThreadsOption = Annotated[int, typer.Option("--threads", "-t", metavar="N", help="Threads the runtime may use.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        "-p",
        metavar="NAME",
        help="Number format to run in: float32 or int8; on GPUs tf32, float16, bfloat16 or float8 too.",
    ),
]
CacheOption = Annotated[
    str,
    typer.Option(
        "--cache",
        metavar="MODE",
        help="What a kernel finds in the caches: warm (all), cold-weights (all but weights), cold-all (nothing).",
    ),
]
AnyPrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", "-p", metavar="NAME", help="Number format: float32 or int8; if omitted any."),
]
DeviceArgument = Annotated[
    str,
    typer.Argument(metavar="DEVICE", help="A device's name (the one used last), or the first digits of its digest."),
]
# The environment variable is read where the store is located, so that an option that is absent stays absent.
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help="Database file or URL; if omitted that of LUTRA_STORE, else lutra.db in the user's data folder.",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="Ask this server (lutra serve) instead of the store; LUTRA_TOKEN is the token."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BatchOption = Annotated[
    int | None, typer.Option("--batch", metavar="N", help="Batch size of zoo networks; 1 if omitted.")
]
ResolutionOption = Annotated[
    int | None,
    typer.Option("--resolution", metavar="N", help="Input resolution of zoo networks; as published if omitted."),
]
InputShapesOption = Annotated[
    list[str] | None,
    typer.Option("--input-shape", metavar="NAME=1x3x224x224", help="Pin the shape of a file's input; may be repeated."),
]

_FILES = (".onnx", ".json")


ALL_NETWORKS = "zoo"
"""Stands for every name of the zoo."""


def split_names(text: str | None) -> list[str]:
    """The names in a list separated by commas.

    Raises:
        UsageError: an empty name.
    """
    from ..networks.errors import UsageError

    names = text.split(",") if text is not None else []
    if not all(name.strip() for name in names):
        raise UsageError(f"an empty name in {text!r}", hint="separate names by single commas")
    return [name.strip() for name in names]


def split_numbers(text: str, option: str) -> list[int]:
    """The distinct whole numbers in a list separated by commas, in order.

    Raises:
        UsageError: something else is in it.
    """
    from ..networks.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words):
        raise UsageError(f"{option} {text!r} is not a list of numbers", hint=f"write it as {option} 1 or {option} 1,2")
    return list(dict.fromkeys(map(int, words)))


def split_decimals(text: str, option: str) -> list[float]:
    """The numbers in a list separated by commas, in order.

    Raises:
        UsageError: something else is in it.
    """
    from ..networks.errors import UsageError

    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a list of numbers", hint=f"write it as {option} 0,2,1.5") from None


_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smh])", re.ASCII)
_UNITS_BYTES = {"": 1, "k": 1024, "m": 1024**2}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?(?:([kM]?)i?B)?", re.ASCII | re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%", re.ASCII)


def seconds_of(text: str | None) -> float | None:
    """The seconds of a duration such as ``90s``, ``10m`` or ``2h``; None for None.

    Raises:
        UsageError: not a duration, or none at all.
    """
    from ..networks.errors import UsageError

    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"{text!r} is no duration", hint="write it as 90s, 10m or 2h")
    return float(match[1]) * _UNITS_S[match[2]]


def bytes_of(text: str) -> int:
    """The bytes of a size such as ``320kB`` or ``1MB``, in kB of 1024 bytes; a plain number is bytes.

    Raises:
        UsageError: not a size, or none at all.
    """
    from ..networks.errors import UsageError

    match = _SIZE.fullmatch(text)
    size = round(float(match[1]) * _UNITS_BYTES[(match[2] or "").lower()]) if match else 0
    if size < 1:
        raise UsageError(f"{text!r} is no size of memory", hint="write it as 320kB or 1MB")
    return size


def share_of(text: str | None) -> float | None:
    """The share that a percentage such as ``3%`` is: 0.03; None for None.

    Raises:
        UsageError: not a percentage above 0 and below 100.
    """
    from ..networks.errors import UsageError

    if text is None:
        return None
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 < float(match[1]) < 100:
        raise UsageError(f"{text!r} is no percentage", hint="write it as 3%")
    return float(match[1]) / 100


def sources_of(
    names: list[str],
    *,
    batch: int | None = None,
    resolution: int | None = None,
    input_shapes: list[str] | None = None,
) -> "list[Network | Path]":
    """What arguments name, each once: networks, and paths of ONNX files that are to be run as they are.

    A file whose input shapes had to be pinned is not run itself, because it has no fixed shapes: the graph that is
    read from it is.

    Raises:
        UsageError: options that do not apply, or a malformed shape.
        LutraError: a network cannot be read.
    """
    from ..networks import load_network, zoo
    from ..networks.errors import UsageError

    options = {key: value for key, value in {"batch": batch, "resolution": resolution}.items() if value is not None}
    shapes = _parse_shapes(input_shapes or [])
    sources: list[Network | Path] = []
    for name in _expanded(names):
        path = Path(name)
        if path.suffix.lower() not in _FILES:
            if shapes:
                raise UsageError(f"--input-shape does not apply to {name}", hint="use --batch and --resolution")
            sources.append(zoo.build(name, **options) if options else load_network(name))
            continue
        if options:
            raise UsageError(f"--batch and --resolution do not apply to the file {name}", hint="use --input-shape")
        as_it_is = path.suffix.lower() == ".onnx" and not shapes
        sources.append(path if as_it_is else load_network(path, input_shapes=shapes or None))
    return sources


def subject_of(source: "Network | Path") -> "Network | tuple[Network, bytes]":
    """A source as a plan takes it: a network, beside the bytes of the ONNX file it was read from."""
    from ..networks import load_network

    return (load_network(source), source.read_bytes()) if isinstance(source, Path) else source


def is_file_name(name: str) -> bool:
    """Whether an argument names a model's file, rather than a network of the zoo."""
    return Path(name).suffix.lower() in _FILES


def _expanded(names: list[str]) -> list[str]:
    """``names`` with patterns replaced by the names of the zoo that match, and no name twice."""
    from ..networks import zoo
    from ..networks.errors import UsageError

    expanded: dict[str, None] = {}
    if not names:
        raise UsageError("no network is named", hint="give names, files, or --networks zoo")
    for name in names:
        if name == ALL_NETWORKS:
            expanded |= dict.fromkeys(zoo.names())
            continue
        is_pattern = "*" in name and Path(name).suffix.lower() not in _FILES
        matching = zoo.names(name) if is_pattern else [name]
        if not matching:
            raise UsageError(f"no network of the zoo matches {name!r}", hint="list them: lutra ops --networks")
        expanded |= dict.fromkeys(matching)
    return list(expanded)


def _parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    from ..networks.errors import UsageError

    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in map(_parse_shape, texts):
        if shapes.setdefault(name, shape) != shape:
            raise UsageError(f"two shapes of the input {name!r}", hint="give --input-shape once for each input")
    return shapes


def _parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """The name and the shape in ``NAME=1x3x224x224``; a name may itself contain "="."""
    from ..networks.errors import UsageError

    name, _, dims = text.rpartition("=")
    sizes = dims.split("x")
    # isdecimal() alone lets other scripts' digits through, and int() underscores, signs and blanks.
    well_formed = all(size.isascii() and size.isdecimal() and len(size) < 20 and int(size) > 0 for size in sizes)
    if not name or not well_formed:
        raise UsageError(f"malformed shape {text!r}", hint="write it as --input-shape input=1x3x224x224")
    return name, tuple(map(int, sizes))


def echo_json(document: Any) -> None:
    """Print a JSON document to standard output."""
    import json

    typer.echo(json.dumps(document, indent=2, allow_nan=False))
