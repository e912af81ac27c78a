"""`from_torch`: a torch module as a network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import MissingDependencyError
from .result import Imported

if TYPE_CHECKING:
    import torch


def from_torch(
    module: "torch.nn.Module",
    example_inputs: "torch.Tensor | Sequence[torch.Tensor] | None" = None,
    input_shapes: "Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None" = None,
    *,
    name: str | None = None,
) -> Imported:
    """The network that ``module`` computes in inference, traced by ``torch.export``. The module is left as it was.

    Attention counts the same whatever the grad mode: torch's fused fast path is off while tracing.

    Args:
        module: what to import.
        example_inputs: tensors that it can be called with; their shapes become the network's.
        input_shapes: instead, the shape of its only input, of each input in order, or of each by name; they are
            filled with zeros of the type of the module's parameters.
        name: of the network; by default the name of the module's class.

    Raises:
        MissingDependencyError: torch is not installed.
        NotSupportedError: ``torch.export`` cannot trace the module.
        UnsupportedDtypeError: an element type nobody here computes with.
        UnsupportedOpError: ops that the catalogue does not have, all of them, with counts.
        UsageError: neither or both of ``example_inputs`` and ``input_shapes`` are given.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise MissingDependencyError("torch", "learn", "importing a torch module") from None
    from . import _patterns, _torch_compute, _torch_plain, _torch_shape  # noqa: F401  (register handlers and rules)
    from ._torch_graph import ModuleImporter, exported

    program = exported(module, example_inputs, input_shapes)
    return ModuleImporter(module, program, name or type(module).__name__).run()
