"""Options that several commands share, and what they stand for."""

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
NetworkArgument = Annotated[
    str, typer.Argument(metavar="NETWORK", help="A name from the zoo, an .onnx file, or a network .json file.")
]
DeviceOption = Annotated[str, typer.Option("--device", "-d", help="Device: 'host' is this machine, 'null' a stand-in.")]
RuntimeOption = Annotated[
    str | None, typer.Option("--runtime", "-r", help="What runs the network; the best one installed if omitted.")
]
ThreadsOption = Annotated[int, typer.Option("--threads", "-t", help="Threads the runtime may use.")]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="LUTRA_STORE", help="Database file or URL; in the user's data folder if omitted."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BatchOption = Annotated[int | None, typer.Option("--batch", help="Batch size of zoo networks (1).")]
ResolutionOption = Annotated[int | None, typer.Option("--resolution", help="Input resolution of zoo networks.")]
InputShapesOption = Annotated[
    list[str] | None,
    typer.Option("--input-shape", metavar="NAME=1x3x224x224", help="Pin the shape of a file's input; may be repeated."),
]


def sources_of(
    names: list[str],
    *,
    batch: int | None = None,
    resolution: int | None = None,
    input_shapes: list[str] | None = None,
) -> "list[Network | Path]":
    """What arguments name: networks, and paths of ONNX files that are to be run as they are.

    A file whose input shapes had to be pinned is not run itself, because it has no fixed shapes: the graph that is
    read from it is.

    Raises:
        UsageError: options that do not apply, or a malformed shape.
        LutraError: a network cannot be read.
    """
    from ..networks import load_network, zoo
    from ..networks.errors import UsageError

    options = {key: value for key, value in {"batch": batch, "resolution": resolution}.items() if value is not None}
    shapes = dict(map(_parse_shape, input_shapes or []))
    sources: list[Network | Path] = []
    for name in names:
        if Path(name).suffix in (".onnx", ".json"):
            if options:
                raise UsageError(f"--batch and --resolution do not apply to the file {name}", hint="use --input-shape")
            as_it_is = Path(name).suffix == ".onnx" and not shapes
            sources.append(Path(name) if as_it_is else load_network(name, input_shapes=shapes or None))
            continue
        matching = zoo.names(name) if "*" in name else [name]
        if not matching:
            raise UsageError(f"no network of the zoo matches {name!r}", hint="list them: lutra ops --networks")
        sources += [zoo.build(match, **options) for match in matching]
    return sources


def subject_of(source: "Network | Path") -> "Network | tuple[Network, bytes]":
    """A source as a plan takes it: a network, beside the bytes of the ONNX file it was read from."""
    from ..networks import load_network

    return (load_network(source), source.read_bytes()) if isinstance(source, Path) else source


def _parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    from ..networks.errors import UsageError

    name, separator, dims = text.partition("=")
    try:
        shape = tuple(int(dim) for dim in dims.split("x"))
    except ValueError:
        shape = ()
    if not separator or not name or not shape or min(shape) < 1:
        raise UsageError(f"malformed shape {text!r}", hint="write it as --input-shape input=1x3x224x224")
    return name, shape


def echo_json(document: Any) -> None:
    """Print a JSON document to standard output."""
    import json

    typer.echo(json.dumps(document, indent=2, allow_nan=False))
