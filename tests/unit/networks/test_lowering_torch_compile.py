"""Networks are compiled whole by torch.compile, or refused; nothing of them runs eagerly unseen."""

from functools import partial
from typing import Any

import pytest

from lutra.networks import NetworkBuilder
from lutra.networks.blocks import transformer_block
from lutra.networks.errors import UnsupportedOpError
from lutra.networks.exporters import to_torch
from lutra.networks.lowering.torch_compile import compile_module

torch = pytest.importorskip("torch", reason="compiling needs torch")


@pytest.fixture(autouse=True)
def _only_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is captured is run as it is: generating code takes long, and nothing here looks at it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


def test_attention_is_captured_whole() -> None:
    b = NetworkBuilder("attention")
    network = b.build(transformer_block(b, b.input((1, 4, 8)), heads=2))
    x = torch.zeros(1, 4, 8)
    module = to_torch(network).eval()
    with torch.inference_mode():
        compiled, _ = compile_module(module, [x])
        assert torch.equal(compiled(x), module(x))
    assert not torch._dynamo.utils.counters["graph_break"]


def test_what_would_run_eagerly_is_refused_with_the_reason() -> None:
    class Broken(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x: Any) -> Any:
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(UnsupportedOpError, match=r"graph_break.* Unsupported x1"):
        compile_module(Broken(), [torch.zeros(2)])


def test_a_call_that_would_be_compiled_too_often_is_an_error() -> None:
    b = NetworkBuilder("relu")
    module = to_torch(b.build(b.op("relu", b.input((2,)))))
    compiled, _ = compile_module(module, [torch.zeros(2)])
    too_often = torch._dynamo.exc.FailOnRecompileLimitHit
    with torch._dynamo.config.patch(recompile_limit=1), pytest.raises(too_often):
        compiled(torch.zeros(2, dtype=torch.float64))
