"""Wider and deeper networks: how far their outputs are from those of the networks that they grew out of."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from lutra.nas.accuracy.inherit import deepenable, deeper, to_module, weights_of, widenable, wider
from lutra.nas.accuracy.zero_shot.az import block_outputs
from lutra.networks import Network, zoo
from lutra.networks.exporters import to_torch

from .._results import Figure, note

_RESOLUTION: Final = 64
_GOAL: Final = 1e-5
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
    """The blocks of a network as networks of their own, different ones only, by the name of what they give."""
    ends = [value for value in block_outputs(network) if value not in network.outputs]
    places = {node.name: i for i, node in enumerate(network.nodes)}
    found: dict[str, Network] = {}
    seen = set()
    for begin, end in zip(ends, ends[1:], strict=False):
        nodes = network.nodes[places[begin] + 1 : places[end] + 1]
        if any(node.weights_from for node in nodes):
            continue
        piece = Network(end, ((begin, network.types[begin]),), nodes, (end,))
        if piece.fingerprint not in seen:
            seen.add(piece.fingerprint)
            found[end] = piece
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
    """Largest difference in float32 by network, over all layers of its different blocks; and of what was tried."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name in _NETWORKS:
        entry = {"wider": 0.0, "deeper": 0.0, "blocks": 0, "widened": 0, "deepened": 0, "refused": 0}
        for piece in pieces(zoo.build(name, resolution=_RESOLUTION)).values():
            module = _settled(piece)
            weights, images = weights_of(module), torch.randn(2, *piece.inputs[0][1].shape[1:])
            with torch.no_grad():
                expected = module(images)
                entry["blocks"] += 1
                layers = [node.name for node in piece if node.op.kind == "conv2d" and node.op["groups"] == 1]
                able = widenable(piece)
                entry["refused"] += len(set(layers) - set(able))
                for layer in able:
                    width = piece.types[layer].shape[1]
                    grown = wider(piece, weights, layer, 2 * width, seed=int(rng.integers(1 << 31)))
                    difference = float((to_module(grown).eval()(images) - expected).abs().max())
                    entry["wider"], entry["widened"] = max(entry["wider"], difference), entry["widened"] + 1
                for after in deepenable(piece):
                    grown = deeper(piece, weights, after, depthwise=True)
                    difference = float((to_module(grown).eval()(images) - expected).abs().max())
                    entry["deeper"], entry["deepened"] = max(entry["deeper"], difference), entry["deepened"] + 1
        note(f"{name}: {entry}")
        found[name] = entry
    return found


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The largest difference of all."""
    worst = max(found, key=lambda name: max(found[name]["wider"], found[name]["deeper"]))
    total = {key: sum(entry[key] for entry in found.values()) for key in ("blocks", "widened", "deepened")}
    yield Figure(
        figure="net2net_max_output_difference",
        value=float(f"{max(found[worst]['wider'], found[worst]['deeper']):.3g}"),
        unit="absolute",
        goal=_GOAL,
        better="lower",
        peer="",
        protocol=f"evaluation mode, float32, outputs of {total['blocks']} different blocks of {len(found)} networks for "
        f"noise, after widening by two ({total['widened']} layers) and deepening ({total['deepened']} rectifiers); the "
        f"worst is of {worst}",
        command=command,
    )


def table(found: Mapping[str, Any]) -> str:
    """By network, as Markdown."""
    lines = ["## Wider and deeper blocks: largest difference of outputs\n"]
    lines.append("| network | different blocks | widened | difference | deepened | difference |")
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, e in found.items():
        lines.append(
            f"| {name} | {e['blocks']} | {e['widened']} | {e['wider']:.1e} | {e['deepened']} | {e['deeper']:.1e} |"
        )
    return "\n".join(lines) + "\n"
