"""Fusion rules: which ops a runtime computes in the kernel of the op before, and which cost it nothing.

A rule is a short chain of ops from the catalogue, whether its last op joins the kernel of those before it, and how
that is known: read from the runtime's own lowered graph ("dumped"), fixed by our own lowering ("fixed"), or detected by
timing the parts and the whole ("measured", as nn-Meter does, doi:10.1145/3458864.3467882, section 3.1).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from ..errors import CorruptModelError, UnsupportedOpError
from ..graph import Network, NetworkBuilder
from .kernel import LACKING, KernelNode, LoweredNetwork

FORMAT_VERSION: Final = 1

ALPHA: Final = 0.5
"""Share of the cheaper part that must be saved for a pair to count as fused."""

Known: TypeAlias = Literal["dumped", "fixed", "measured"]
LowerFunction: TypeAlias = Callable[[Network], LoweredNetwork]

REORDERS: Final = frozenset({"ReorderInput", "ReorderOutput", "Transpose", "QuantizeLinear", "DequantizeLinear"})
"""Nodes of lowered graphs that change how a tensor is stored, and compute nothing."""

_ALIASES: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})

_Build: TypeAlias = Callable[[NetworkBuilder, str, str], str]
"""Appends an op to a builder, to the value named second; the third is an earlier value of the same type."""


@dataclass(frozen=True)
class Probe:
    """A chain of ops to try.

    Attributes:
        ops: what they are, the last one being the one in question.
        whole: a network that ends in the chain, behind a layer that leaves the usual layout.
        host: the same network without the last op.
        apart: to be timed: the chain without its last op, that op, and the chain, each by itself.
    """

    ops: tuple[str, ...]
    whole: Network
    host: Network
    apart: tuple[Network, Network, Network]


@dataclass(frozen=True)
class FusionRule:
    """Whether the last op of a chain joins the kernel of those before it.

    Attributes:
        ops: the chain. "conv2d" has a 1x1 window, "conv2d depthwise" 3x3; "linear" works on batch x tokens x channels,
            "linear flat" on batch x channels.
        fused: it does.
        known: how that is known.
        kernels: what the runtime runs for the chain, where its graph can be seen.
        evidence: numbers behind the verdict, sorted by name: nodes of the graphs, or times in ns.
    """

    ops: tuple[str, ...]
    fused: bool
    known: Known
    kernels: tuple[str, ...] = ()
    evidence: tuple[tuple[str, float], ...] = ()

    @classmethod
    def measured(cls, ops: tuple[str, ...], host_ns: float, last_ns: float, whole_ns: float) -> Self:
        """The rule that times of a chain's parts and of the whole give: T(a) + T(b) - T(ab) > 0.5 min(T(a), T(b))."""
        saved_ns = host_ns + last_ns - whole_ns
        evidence = (("host_ns", host_ns), ("last_ns", last_ns), ("saved_ns", saved_ns), ("whole_ns", whole_ns))
        return cls(ops, saved_ns > ALPHA * min(host_ns, last_ns), "measured", evidence=evidence)

    def __str__(self) -> str:
        return " + ".join(self.ops)


@dataclass(frozen=True)
class FusionRules:
    """What is known of a runtime's fusions.

    Attributes:
        runtime: whose they are.
        rules: one for each chain that was tried.
        views: kinds of ops that only rename memory: they have no kernel.
    """

    runtime: str
    rules: tuple[FusionRule, ...]
    views: tuple[str, ...]

    def fuses(self, *ops: str) -> bool:
        """Whether the last of ``ops`` is known to join the kernel of the others."""
        return any(rule.fused and rule.ops == ops for rule in self.rules)

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` gives equal rules back."""
        rules = [
            {
                "ops": list(rule.ops),
                "fused": rule.fused,
                "known": rule.known,
                "kernels": list(rule.kernels),
                "evidence": dict(rule.evidence),
            }
            for rule in self.rules
        ]
        return {"version": FORMAT_VERSION, "runtime": self.runtime, "rules": rules, "views": list(self.views)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The rules that `to_json` wrote.

        Raises:
            CorruptModelError: not such a document, or one of a newer version.
        """
        try:
            if document["version"] != FORMAT_VERSION:
                raise ValueError(document["version"])
            rules = tuple(
                FusionRule(
                    tuple(rule["ops"]),
                    rule["fused"],
                    rule["known"],
                    tuple(rule["kernels"]),
                    tuple(sorted(rule["evidence"].items())),
                )
                for rule in document["rules"]
            )
            return cls(document["runtime"], rules, tuple(document["views"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptModelError(f"stored fusion rules are damaged: {error!r}") from None


def rules_by_lowering(runtime: str, lower: LowerFunction, known: Known) -> FusionRules:
    """Rules read from lowered graphs: an op is fused where the graph with it computes in no more nodes than without.

    Args:
        runtime: whose they are.
        lower: its lowering.
        known: "dumped" where that is the runtime's own optimiser, "fixed" where it is ours.
    """
    found = (_rule(probe, lower, known) for probe in probes())
    return FusionRules(runtime, tuple(rule for rule in found if rule is not None), _views(lower))


def _rule(probe: Probe, lower: LowerFunction, known: Known) -> FusionRule | None:
    """The rule of one chain; None where the runtime lacks an op of it."""
    try:
        whole, host = _computing(lower(probe.whole)), _computing(lower(probe.host))
    except UnsupportedOpError:
        return None
    if any(node.domain == LACKING for node in whole):
        return None
    added = len(whole) - len(host)
    evidence = (("nodes_with", float(len(whole))), ("nodes_without", float(len(host))))
    # What the stem in front of the chain runs is the beginning of both lists.
    return FusionRule(probe.ops, added <= 0, known, tuple(map(_described, whole[1:])), evidence)


def _computing(lowered: LoweredNetwork) -> list[KernelNode]:
    nodes = [node for kernel in lowered.kernels for node in kernel.nodes]
    return [node for node in nodes if node.op not in REORDERS | _ALIASES]


def _described(node: KernelNode) -> str:
    """``Conv(Sum, Relu)``: a node and what is computed in it besides."""
    attrs = dict(node.attrs)
    summed = attrs.get("residual") or (node.op in ("Conv", "FusedConv") and len(node.inputs) > 3)
    inside = [*(["Sum"] if summed else []), *([str(attrs["activation"])] if attrs.get("activation") else [])]
    return f"{node.op}({', '.join(inside)})" if inside else node.op


def _views(lower: LowerFunction) -> tuple[str, ...]:
    """Kinds of ops whose graph computes nothing: no node at all, or one that only renames its input."""
    found = []
    for kind, attrs in _RENAMERS.items():
        b = NetworkBuilder(kind)
        network = b.build(b.op(kind, b.input((1, 8, 6, 6)), **attrs))
        try:
            nodes = [node for kernel in lower(network).kernels for node in kernel.nodes]
        except UnsupportedOpError:
            continue
        if all(node.op in _ALIASES for node in nodes):
            found.append(kind)
    return tuple(found)


_RENAMERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "reshape": {"shape": (1, 8, 36)},
    "flatten": {},
    "transpose": {"perm": (0, 2, 3, 1)},
    "cast": {"to": "float32"},
    "slice": {"axis": 1, "end": 8},
    "expand": {"shape": (1, 8, 6, 6)},
}

_WIDTH, _SIZE, _TOKENS = 16, 56, 196
"""Few channels: beside a costly op, the time of a cheap one would be lost in the noise."""


def _conv(kernel_size: int, groups: int) -> _Build:
    def build(b: NetworkBuilder, x: str, earlier: str) -> str:
        del earlier
        half = kernel_size // 2
        return b.op("conv2d", x, out_channels=_WIDTH, kernel_size=kernel_size, padding=half, groups=groups)

    return build


def _op(kind: str, **attrs: Any) -> _Build:
    def build(b: NetworkBuilder, x: str, earlier: str) -> str:
        del earlier
        return b.op(kind, x, **attrs)

    return build


def _add(b: NetworkBuilder, x: str, earlier: str) -> str:
    return b.op("add", x, earlier)


_BUILDS: Final[Mapping[str, _Build]] = {
    "conv2d": _conv(1, 1),
    "conv2d depthwise": _conv(3, _WIDTH),
    "linear": _op("linear", out_features=_WIDTH),
    "linear flat": _op("linear", out_features=_WIDTH),
    "add": _add,
    "max_pool2d": _op("max_pool2d", kernel_size=3, stride=1, padding=1),
    "avg_pool2d": _op("avg_pool2d", kernel_size=3, stride=1, padding=1),
    "softmax": _op("softmax"),
}

_ACTIVATIONS = ("relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh", "leaky_relu")
_IMAGE_CHAINS: Final = (
    *((host, last) for host in ("conv2d", "conv2d depthwise") for last in ("batch_norm", *_ACTIVATIONS, "add")),
    ("conv2d", "batch_norm", "relu"),
    ("conv2d", "add", "relu"),
    ("conv2d", "relu", "add"),
    ("conv2d", "max_pool2d"),
    ("conv2d", "conv2d"),
    ("conv2d", "conv2d depthwise"),
    ("max_pool2d", "batch_norm"),
    ("max_pool2d", "batch_norm", "relu"),
    ("add", "relu"),
    ("max_pool2d", "relu"),
    ("avg_pool2d", "relu"),
)
_VECTOR_CHAINS: Final = tuple(("linear flat", last) for last in _ACTIVATIONS)
_SEQUENCE_CHAINS: Final = (
    *(("linear", last) for last in (*_ACTIVATIONS, "add", "softmax", "layer_norm")),
    ("linear", "add", "layer_norm"),
    ("add", "layer_norm"),
    ("layer_norm", "linear"),
)


def probes() -> tuple[Probe, ...]:
    """The chains that are tried. In front of each stands a layer of its own, so that it finds the usual layout."""
    images = [_probe(chain, (1, _WIDTH, _SIZE, _SIZE), "conv2d") for chain in _IMAGE_CHAINS]
    sequences = [_probe(chain, (1, _TOKENS, _WIDTH), "linear") for chain in _SEQUENCE_CHAINS]
    vectors = [_probe(chain, (_TOKENS, _WIDTH), "linear") for chain in _VECTOR_CHAINS]
    return (*images, *sequences, *vectors)


def _probe(chain: Sequence[str], shape: tuple[int, ...], stem: str) -> Probe:
    whole, host = (_network(stem, steps, shape) for steps in (chain, chain[:-1]))
    parts = (chain[:-1], chain[-1:], chain)
    first, last, both = (_network("", part, shape) for part in parts)
    return Probe(tuple(chain), whole, host, (first, last, both))


def _network(stem: str, chain: Sequence[str], shape: tuple[int, ...]) -> Network:
    b = NetworkBuilder(" + ".join(chain) or stem)
    start = b.input(shape)
    if stem:
        start = x = _append(b, stem, start, start)
    else:  # what is added is then another input
        x, start = start, b.input(shape) if "add" in chain else start
    for kind in chain:
        x = _append(b, kind, x, start)
    return b.build(x)


def _append(b: NetworkBuilder, kind: str, x: str, earlier: str) -> str:
    build = _BUILDS.get(kind, _op(kind))
    return build(b, x, earlier)
