"""Wider and deeper networks: how far their outputs are from those of the networks that they grew out of."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch import nn

from lutra.nas.accuracy.inherit import deepenable, deeper, to_module, weights_of, widenable, wider
from lutra.networks import Network, Node, zoo
from lutra.networks.exporters import to_torch

from .._results import Figure, note

_RESOLUTION: Final = 64
_GOAL: Final = 1e-5
_LAYERS: Final = 6
_NETWORKS: Final = (
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mnasnet1_0",
    "efficientnet_b0",
    "shufflenet_v1_g3",
    "shufflenet_v2_x1_0",
    "densenet121",
    "mcunet_in0",
    "proxyless_mobile",
    "ofa_mobilenet_v3",
    "nasbench201/6111",
    "nasbench201/1459",
)


def pieces(network: Network) -> dict[str, Network]:
    """Successive parts of a network, by the name of what they give: each a network of its own, with at least six layers
    where what follows allows it, that reads one tensor and gives one. Equal ones are there once."""
    last_read = {value: i for i, node in enumerate(network.nodes) for value in node.inputs}
    found: dict[str, Network] = {}
    seen = set()
    begin, nodes = network.inputs[0], list[Node]()
    alive = {begin[0]}
    for i, node in enumerate(network.nodes):
        nodes.append(node)
        alive = {value for value in (*alive, *node.outputs) if last_read.get(value, -1) > i}
        layers = sum(n.op.kind == "conv2d" for n in nodes)
        if alive == {node.name} and layers >= _LAYERS and len(network.types[node.name].shape) == 4:
            piece = Network(node.name, (begin,), tuple(nodes), (node.name,))
            if piece.fingerprint not in seen:
                seen.add(piece.fingerprint)
                found[node.name] = piece
            begin, nodes = (node.name, network.types[node.name]), []
    return found


def _settled(network: Network) -> nn.Module:
    """A module with random scales in its batch norms, which hold the statistics of noise."""
    module = to_torch(network)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.2)
    with torch.no_grad():
        module.train()(torch.randn(8, *network.inputs[0][1].shape[1:]))
    return module.eval()


def measure() -> dict[str, Any]:
    """By network, over all layers of its different pieces: the largest difference, and that of the largest output."""
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    for name in _NETWORKS:
        entry = {"pieces": 0, "widened": 0, "deepened": 0, "absolute": 0.0, "relative": 0.0}
        for piece in pieces(zoo.build(name, resolution=_RESOLUTION)).values():
            module = _settled(piece)
            weights, images = weights_of(module), torch.randn(2, *piece.inputs[0][1].shape[1:])
            able, rectifiers = widenable(piece), deepenable(piece)
            grown = [wider(piece, weights, layer, 2 * piece.types[layer].shape[1]) for layer in able]
            grown += [deeper(piece, weights, after, depthwise=True) for after in rectifiers]
            with torch.no_grad():
                expected = module(images)
                differences = [float((to_module(g).eval()(images) - expected).abs().max()) for g in grown]
            entry["pieces"] += 1
            entry["widened"] += len(able)
            entry["deepened"] += len(rectifiers)
            entry["absolute"] = max(entry["absolute"], *differences)
            entry["relative"] = max(entry["relative"], max(differences) / float(expected.abs().max()))
        note(f"{name}: {entry}")
        found[name] = entry
    return found


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The largest differences of all."""
    total = {key: sum(entry[key] for entry in found.values()) for key in ("pieces", "widened", "deepened")}
    what = (
        f"evaluation mode, float32, outputs of {total['pieces']} different pieces of six or more layers, out of "
        f"{len(found)} networks, for noise, before and after each of {total['widened']} layers is doubled and a layer "
        f"put behind each of {total['deepened']} rectifiers"
    )
    for figure, key, unit, goal in (
        ("net2net_max_output_difference", "relative", "of the largest output", _GOAL),
        ("net2net_max_absolute_difference", "absolute", "absolute", None),
    ):
        worst = max(found, key=lambda name: float(found[name][key]))
        yield Figure(
            figure=figure,
            value=float(f"{found[worst][key]:.3g}"),
            unit=unit,
            goal=goal,
            better="lower",
            peer="",
            protocol=f"{what}; the worst is of {worst}",
            command=command,
        )


def table(found: Mapping[str, Any]) -> str:
    """By network, as Markdown."""
    lines = ["## Wider and deeper networks: largest difference of outputs\n"]
    lines.append("| network | different pieces | layers doubled | layers added | absolute | of the largest output |")
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, entry in found.items():
        counts = " | ".join(str(entry[key]) for key in ("pieces", "widened", "deepened"))
        lines.append(f"| {name} | {counts} | {entry['absolute']:.1e} | {entry['relative']:.1e} |")
    lines.append("\nIn float64 they are equal to the last digits; the differences are those of sums in another order.")
    return "\n".join(lines) + "\n"
