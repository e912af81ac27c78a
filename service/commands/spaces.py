"""``lutra spaces``: the search spaces whose tables can be built."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, echo_json

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace


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
    """Shape of the input, or the first and the last of several; of a space that is no chain, that of one network."""
    chains = space.chains()
    types = [chain.input for chain in chains] or [t for _, t in space.decode([0] * len(space.decisions)).inputs]
    first, last = ("x".join(map(str, type_.shape)) for type_ in (types[0], types[-1]))
    return first if len(types) == 1 else f"{first} .. {last} ({len(types)})"
