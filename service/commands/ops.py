"""``lutra ops``: the op catalogue, and the zoo."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    DeviceOption,
    JsonOption,
    PrecisionOption,
    RuntimeOption,
    StoreOption,
    ThreadsOption,
    echo_json,
)

if TYPE_CHECKING:
    from ...networks import OpSpec
    from ...networks.lowering import FusionRule


def ops(
    kind: Annotated[str | None, typer.Argument(metavar="[OP]", help="Show one op with its attributes.")] = None,
    networks: Annotated[bool, typer.Option("--networks", help="List the networks of the zoo instead.")] = False,
    fusion: Annotated[
        bool, typer.Option("--fusion", help="Show which ops a device's runtime computes together instead.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --fusion: time ops apart and together, and keep the result.")
    ] = False,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    precision: PrecisionOption = "float32",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the ops that networks may be made of, the networks of the zoo, or what a runtime fuses.

    With --device NAME of a simulated device: what an example of each op takes there, simulated.
    """
    from ...networks import catalogue, spec_of, zoo
    from ...networks.errors import UsageError
    from ..render import console, grid

    if fusion:
        if kind or networks:
            raise UsageError("--fusion goes with neither an op nor --networks", hint="leave them out")
        _show_fusion((device, runtime, threads, precision), measure, store, as_json)
        return
    if device not in ("host", "null"):
        if networks:
            raise UsageError("--device goes with ops, not with --networks", hint="leave one of the two out")
        _show_simulated((device, runtime, threads, precision), kind, as_json)
        return
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
        echo_json([described(spec) for spec in specs])
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


def _show_simulated(setting: tuple[str, str | None, int, str], kind: str | None, as_json: bool) -> None:
    """What the examples of one op, or the first of each, take on a simulated device."""
    from ..op_times import op_times
    from ..render import console, grid

    device, times = op_times(*setting, kind=kind)
    if as_json:
        echo_json([vars(time) for time in times])
        return
    cells = [[t.op, t.example, t.bound, "" if t.latency_us is None else f"{t.latency_us:,.2f}"] for t in times]
    out = console()
    out.print(f"simulated on {device}", markup=False)
    out.print(grid(["op", "example", "bound by", "us"], cells, left=3))


def described(spec: "OpSpec") -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, attr in spec.attributes.items():
        default = {} if attr.required else {"default": str(attr.default) if attr.type == "float" else attr.default}
        attributes[name] = {"type": attr.type, "meaning": attr.doc, "required": attr.required} | default
    return {"op": spec.kind, "family": spec.family, "summary": spec.summary, "attributes": attributes}


def _show_fusion(setting: tuple[str, str | None, int, str], measure: bool, store: str | None, as_json: bool) -> None:
    from ..fusion import rules_of
    from ..render import console, grid

    rules = rules_of(*setting, measure=measure, store=store)
    if as_json:
        echo_json(rules.to_json())
        return
    cells = [[str(rule), "yes" if rule.fused else "no", rule.known, _evidence(rule)] for rule in rules.rules]
    out = console()
    out.print(grid(["ops", "fused", "known", "evidence"], cells, left=4))
    out.print(f"{rules.runtime}: these only rename memory, and have no kernel: {', '.join(rules.views) or 'none'}")


def _evidence(rule: "FusionRule") -> str:
    numbers = dict(rule.evidence)
    if rule.known == "measured":
        host, last, whole, saved = (numbers[f"{name}_ns"] / 1e3 for name in ("host", "last", "whole", "saved"))
        return f"{host:.2f} + {last:.2f} us apart, {whole:.2f} us together: {saved:.2f} us saved"
    nodes = f"{numbers['nodes_without']:.0f} -> {numbers['nodes_with']:.0f} nodes"
    return f"{' + '.join(rule.kernels)} ({nodes})" if rule.kernels else nodes
