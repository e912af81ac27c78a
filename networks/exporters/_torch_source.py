"""The text behind `to_torch_code`. Imported only when code is really written: modules are asked how they print."""

import keyword
import re
from collections.abc import Collection, Iterable

import numpy as np
from torch import nn

from ..errors import UsageError
from ..graph import Network, Node
from ..ops._torch import Functional, Source

_WIDTH = 112  # of a line of a docstring


def write_module(network: Network, name: str) -> str:
    """Source code of the class ``name``.

    Raises:
        UsageError: ``name`` is no identifier.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is no name of a class", hint="use letters, digits and _")
    attributes = _identifiers((node.name for node in network.nodes), taken=dir(nn.Module()))
    values = [value for value, _ in network.inputs] + [value for node in network.nodes for value in node.outputs]
    local = _identifiers(values, taken=("self", "torch", "nn", "functional"))
    made = [line for node in network.nodes for line in _made(node, network, attributes)]
    calls = [_called(node, network, attributes, local) for node in network.nodes]
    inputs = ", ".join(f"{local[value]}: torch.Tensor" for value, _ in network.inputs)
    returned = ", ".join(local[value] for value in network.outputs)
    several = len(network.outputs) > 1
    functional = "from torch.nn import functional\n" if any("functional." in call for call in calls) else ""
    blank = "\n        "
    return f'''\
"""The network {_quoted(network.name)} as a torch module; written by Lutra, needs torch alone."""

import torch
from torch import nn
{functional}

class {name}(nn.Module):
    """{_summary(network)}"""

    def __init__(self) -> None:
        super().__init__()
        {blank.join(made)}

    def forward(self, {inputs}) -> {"tuple[torch.Tensor, ...]" if several else "torch.Tensor"}:
        {blank.join(calls)}
        return {returned}
'''


def _summary(network: Network) -> str:
    """One line on shapes and totals."""
    shapes = ", ".join(f"{'x'.join(map(str, type_.shape))}" for _, type_ in network.inputs)
    outputs = ", ".join(f"{'x'.join(map(str, network.types[value].shape))}" for value in network.outputs)
    return f"{shapes} -> {outputs}; {network.macs:,} MACs, {network.params:,} parameters."


def _quoted(name: str) -> str:
    """A name that cannot end a docstring."""
    return re.sub(r'[\\"\r\n]', "_", name)[:_WIDTH]


def _identifiers(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Distinct identifiers for names, none of them in ``taken`` or a keyword."""
    used = set(taken)
    found: dict[str, str] = {}
    for name in names:
        base = re.sub(r"\W", "_", name, flags=re.ASCII)
        base = f"_{base}" if not base or base[0].isdigit() else base
        wanted, number = base, 2
        while wanted in used or keyword.iskeyword(wanted):
            wanted, number = f"{base}_{number}", number + 1
        used.add(wanted)
        found[name] = wanted
    return found


def _made(node: Node, network: Network, attributes: dict[str, str]) -> list[str]:
    """Lines of the constructor for a node's module; none where it calls a function or shares another's module."""
    module = node.op.spec.module(node.op)
    owner = _owner(node, network)
    if isinstance(module, Functional) or (owner is not None and owner.op == node.op):
        return []
    place = f"self.{attributes[node.name]}"
    if isinstance(module, Source):
        return [_source(module, node, attributes[node.name])]
    cast = f".to(torch.{node.op.dtype})" if node.op.dtype in ("float16", "bfloat16") else ""
    # That there is a bias is the default everywhere, and older releases do not let all layers say so.
    lines = [f"{place} = nn.{_constructor(module)}{cast}".replace(", bias=True", "")]
    if owner is not None:
        lines += [f"{place}.{weight} = self.{attributes[owner.name]}.{weight}" for weight in node.op.weights]
    return lines


def _constructor(module: nn.Module) -> str:
    """A call that makes such a module; torch prints most as that."""
    if isinstance(module, nn.AvgPool2d):  # but not all that this one was made with
        counted = f"ceil_mode={module.ceil_mode}, count_include_pad={module.count_include_pad}"
        return f"AvgPool2d({module.kernel_size}, {module.stride}, {module.padding}, {counted})"
    return repr(module)


def _source(module: Source, node: Node, attribute: str) -> str:
    """The line that makes a stored tensor: a parameter, or a buffer with its values."""
    shape, dtype = tuple(module.weight.shape), node.op.outputs[0].dtype
    if node.op.weights:
        return f"self.{attribute} = nn.Parameter(torch.randn({shape}, dtype=torch.{dtype}) * 0.02)"
    values = module.weight.tolist() if node.op["values"] else None
    made = f"zeros({shape}" if values is None else f"tensor({values}"
    return f'self.register_buffer("{attribute}", torch.{made}, dtype=torch.{dtype}))'


def _called(node: Node, network: Network, attributes: dict[str, str], local: dict[str, str]) -> str:
    """The line of ``forward`` that computes a node."""
    module = node.op.spec.module(node.op)
    inputs = [local[value] for value in node.inputs]
    owner = _owner(node, network)
    if isinstance(module, Functional):
        call = module.code.format(*inputs, inputs=", ".join(inputs))
    elif isinstance(module, Source):
        call = f"self.{attributes[node.name]}"
    else:
        named = owner if owner is not None and owner.op == node.op else node
        call = f"self.{attributes[named.name]}({', '.join(_padded(node, inputs))})"
    made = ", ".join(local[value] for value in node.outputs)
    return f"{made}{',' * (len(node.outputs) > 1 and ',' not in made)} = {call}"


def _padded(node: Node, inputs: list[str]) -> list[str]:
    """The inputs of a convolution whose two sides are padded differently, padded; of others as they are."""
    if node.op.kind not in ("conv1d", "conv2d"):
        return inputs
    before, after = np.split(np.array(node.op["padding"]), 2)
    if (before == after).all():
        return inputs
    # Torch lists pads from the last axis backwards.
    pads = tuple(np.stack([before, after], axis=1)[::-1].ravel().tolist())
    return [f"functional.pad({inputs[0]}, {pads})"]


def _owner(node: Node, network: Network) -> Node | None:
    """The node whose weights a node shares."""
    return next((n for n in network.nodes if n.name == node.weights_from), None) if node.weights_from else None
