"""Which layout a module is trained in, and that it can be trained in it here."""

import pytest

from lutra.nas.layout import layout_for

torch = pytest.importorskip("torch")


def thin(channels: int, stride: int = 2, kernel_size: int = 1) -> "torch.nn.Module":
    return torch.nn.Sequential(torch.nn.Conv2d(channels, 2, kernel_size, stride=stride))


@pytest.mark.parametrize(
    ("capability", "module", "plain"),
    [
        ("AVX2", thin(4), True),
        ("AVX2", thin(8), False),
        ("AVX2", thin(4, stride=1), False),
        ("AVX2", thin(4, kernel_size=3), False),
        ("AVX512", thin(4), False),
        ("DEFAULT", thin(4), False),
    ],
)
def test_channels_are_last_but_where_gradients_would_break(
    capability: str, module: "torch.nn.Module", plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert layout_for(module) == (torch.contiguous_format if plain else torch.channels_last)


@pytest.mark.parametrize("channels", [3, 4, 7, 8, 12])
def test_a_strided_thin_convolution_learns_on_this_machine(channels: int) -> None:
    module = thin(channels)
    layout = layout_for(module)
    module.to(memory_format=layout)
    for _ in range(20):  # damage to the heap shows itself late
        images = torch.randn(16, channels, 8, 8).contiguous(memory_format=layout)
        module(images).sum().backward()
    expected = images[:, :, ::2, ::2].sum(dim=(0, 2, 3))
    module.zero_grad()
    module(images).sum().backward()
    assert torch.allclose(module[0].weight.grad[0, :, 0, 0], expected, rtol=1e-4, atol=1e-4)
