"""``lutra spaces``: the search spaces whose tables can be built."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, echo_json

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace
    from ...networks import TensorType


def spaces(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPACE]...", help="Only these: names, or your own .py files.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List search spaces: how many networks each has, and how many decisions make one."""
    from ...nas import spaces as registered
    from ..render import console, grid
    from ..spaces import space_of

    found = [(name, space_of(name)) for name in names or registered.names()]
    if as_json:
        echo_json([_described(name, space) for name, space in found])
        return
    cells = [[name, f"{space.size:,}", str(len(space.decisions)), _inputs(space)] for name, space in found]
    console().print(grid(["space", "networks", "decisions", "inputs"], cells, left=1))


def _described(name: str, space: "SearchSpace") -> dict[str, Any]:
    decisions = [{"name": decision.name, "choices": decision.choices} for decision in space.decisions]
    return {"space": name, "networks": space.size, "decisions": decisions}


def _inputs(space: "SearchSpace") -> str:
    """Shapes of a network's inputs; the first and the last where networks of the space differ in them."""
    found = [_shape(chain.input) for chain in space.chains()] or _decoded_inputs(space)
    return found[0] if len(found) == 1 else f"{found[0]} .. {found[-1]} ({len(found)})"


def _decoded_inputs(space: "SearchSpace") -> list[str]:
    """Of a space that is no chain, the inputs under each choice of the first decision, which may be their size."""
    rest = [0] * (len(space.decisions) - 1)
    codes = space.repair([[choice, *rest] for choice in range(len(space.decisions[0].choices))])
    networks = (space.decode(code) for code in codes)
    return list(dict.fromkeys(", ".join(_shape(type_) for _, type_ in network.inputs) for network in networks))


def _shape(type_: "TensorType") -> str:
    return "x".join(map(str, type_.shape))
