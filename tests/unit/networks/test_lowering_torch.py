"""What eager torch dispatches for a network, as kernels."""

import json
import sys

import pytest

from lutra.networks import Network, NetworkBuilder, Node, catalogue
from lutra.networks.errors import MissingDependencyError, UnsupportedOpError
from lutra.networks.lowering import Kernel, KernelNode, lower

torch = pytest.importorskip("torch")

from lutra.networks.lowering.torch_calls import CallWriter, arguments_of, operator_of, strides_of  # noqa: E402
from lutra.networks.lowering.torch_eager import op_of  # noqa: E402


def attended() -> Network:
    b = NetworkBuilder("attended")
    x = b.op("linear", b.input((1, 6, 8)), out_features=8)
    return b.build(b.op("matmul", x, b.op("transpose", x, perm=(0, 2, 1))))


@pytest.mark.parametrize("spec", list(catalogue()), ids=lambda spec: spec.kind)
def test_every_op_lowers_and_is_found_again_in_its_kernel(spec) -> None:  # type: ignore[no-untyped-def]
    for op in spec.examples():
        inputs = tuple((f"x{i}", type_) for i, type_ in enumerate(op.inputs))
        node = Node("op", op, tuple(name for name, _ in inputs))
        for kernel in lower(Network("one", inputs, (node,), node.outputs), "torch").kernels:
            again = Kernel.from_json(json.loads(json.dumps(kernel.to_json())))
            assert again == kernel
            assert again.key == kernel.key
            assert op_of(again) == op


def test_every_node_is_a_kernel_with_its_costs() -> None:
    lowered = lower(attended(), "torch")
    assert [kernel.nodes[0].op for kernel in lowered.kernels] == ["linear", "transpose", "matmul"]
    assert lowered.macs == attended().macs
    assert dict(lowered.kernels[0].nodes[0].attrs)["dispatches"] == ("aten.linear.default",)


def test_a_view_is_read_with_its_strides() -> None:
    matmul = lower(attended(), "torch").kernels[2]
    assert dict(matmul.nodes[0].attrs)["strides"] == ("", "48,1,8")


def test_strides_tell_kernels_apart() -> None:
    b = NetworkBuilder("both")
    x = b.input((1, 4, 4))
    straight = b.op("relu", x)
    turned = b.op("relu", b.op("transpose", x, perm=(0, 2, 1)))
    first, _, second = (k.key for k in lower(b.build(b.op("add", straight, turned)), "torch").kernels[:3])
    assert first != second


def test_missing_torch_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "lutra.networks.exporters._graph_module", raising=False)
    b = NetworkBuilder("unseen")
    with pytest.raises(MissingDependencyError, match="torch") as caught:
        lower(b.build(b.op("relu", b.input((1, 5, 5, 5)))), "torch")
    assert "lutra[learn]" in str(caught.value.hint)


def call(name: str, *args: object, **kwargs: object) -> tuple[KernelNode, object]:
    operator = operator_of(KernelNode(name, "aten", (), (), ()))
    result = operator(*args, **kwargs)
    return CallWriter({}).node(operator, args, kwargs, result), result


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("cat.default", ([torch.ones(2), torch.zeros(3)], 0), {}),
        ("_to_copy.default", (torch.ones(3),), {"dtype": torch.float16, "memory_format": torch.contiguous_format}),
        ("zeros.default", ([2, 3],), {"dtype": torch.int32, "device": torch.device("cpu")}),
        ("addmm.out", (torch.ones(2), torch.ones(1, 3), torch.ones(3, 2)), {"out": torch.empty(1, 2)}),
        ("clamp.default", (torch.ones(2).exp(), None, 2.5), {}),
    ],
)
def test_a_call_can_be_repeated_from_what_was_written(name: str, args: tuple, kwargs: dict) -> None:  # type: ignore[type-arg]
    node, expected = call(name, *args, **kwargs)
    tensors = [t for a in (*args, *kwargs.values()) for t in (a if isinstance(a, list) else [a])]
    again_args, again_kwargs = arguments_of(node, [t for t in tensors if isinstance(t, torch.Tensor)])
    assert torch.equal(operator_of(node)(*again_args, **again_kwargs), expected)
    assert len(strides_of(node)) == len(node.inputs)


def test_an_operator_that_torch_lacks_is_named() -> None:
    with pytest.raises(UnsupportedOpError, match="no_such"):
        operator_of(KernelNode("no_such.default", "aten", (), (), ()))
