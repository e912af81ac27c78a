"""``lutra ops``: the op catalogue, and the zoo."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, echo_json

if TYPE_CHECKING:
    from ...networks import OpSpec


def ops(
    kind: Annotated[str | None, typer.Argument(metavar="[OP]", help="Show one op with its attributes.")] = None,
    networks: Annotated[bool, typer.Option("--networks", help="List the networks of the zoo instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the ops that networks may be made of, or the networks of the zoo."""
    from ...networks import catalogue, spec_of, zoo
    from ...networks.errors import UsageError
    from ..render import console, grid

    if networks:
        if kind:
            raise UsageError(f"--networks lists networks, not the op {kind!r}", hint="leave one of the two out")
        names = zoo.names()
        if as_json:
            echo_json(names)
        else:
            typer.echo("\n".join(names))
        return
    specs = [spec_of(kind)] if kind else list(catalogue())
    if as_json:
        echo_json([_described(spec) for spec in specs])
        return
    out = console()
    if kind is None:
        out.print(grid(["op", "family", "what it is"], [[s.kind, s.family, s.summary] for s in specs], left=3))
        return
    (spec,) = specs
    out.print(f"[bold]{spec.kind}[/] ({spec.family}): {spec.summary}")
    cells = [
        [name, attr.type, "required" if attr.required else str(attr.default), attr.doc]
        for name, attr in spec.attributes.items()
    ]
    if cells:
        out.print(grid(["attribute", "type", "default", "meaning"], cells, left=4))
    for op in spec.examples():
        out.print(f"example: {op.key}", markup=False)
        out.print(
            f"         -> {', '.join(map(str, op.outputs))}, {op.macs:,} MACs, {op.params:,} params", markup=False
        )


def _described(spec: "OpSpec") -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, attr in spec.attributes.items():
        default = {} if attr.required else {"default": str(attr.default) if attr.type == "float" else attr.default}
        attributes[name] = {"type": attr.type, "meaning": attr.doc, "required": attr.required} | default
    return {"op": spec.kind, "family": spec.family, "summary": spec.summary, "attributes": attributes}
