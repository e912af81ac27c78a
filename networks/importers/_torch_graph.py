"""Traces a torch module and walks the nodes of its ATen graph."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from ..errors import CorruptModelError, NotSupportedError, ShapeError, UnsupportedOpError, UsageError
from ..ops import TensorType
from ._draft import MAX_KEPT_VALUES, Draft, Stored, UnsupportedError, readable
from ._fuse import Fuser
from ._step import Step, Value
from .result import Imported, TensorSource

READ_VALUES = 4096
"""Buffers and worked-out tensors up to this many elements are read."""

KNOWN_LIMIT = 1 << 22
"""Elements of the largest tensor that is worked out while importing."""

_FILLERS = frozenset({"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like"})
"""Ops that read nothing of their input but its shape and type."""

Handler = Callable[["AtenCall"], None]
HANDLERS: dict[str, Handler] = {}
"""By the name of the ATen op, without overload and without the underscore of in-place forms."""

_VIEWS = frozenset(
    {"select", "slice", "narrow", "view", "reshape", "transpose", "permute", "t", "squeeze", "unsqueeze"}
)
_VIEWS |= {"flatten", "unflatten", "expand", "chunk", "split", "split_with_sizes", "unbind", "alias", "detach"}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Registers a function that translates ATen ops of these names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


def exported(
    module: nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor] | None,
    input_shapes: Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None,
) -> ExportedProgram:
    """The module as ``torch.export`` sees it in inference."""
    if (example_inputs is None) == (input_shapes is None):
        raise UsageError("importing a torch module takes either example_inputs or input_shapes")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if example_inputs is not None:
        args = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs)
    elif isinstance(input_shapes, Mapping):
        kwargs = {key: _zeros(module, shape) for key, shape in input_shapes.items()}
    else:
        shapes = [input_shapes] if all(isinstance(d, int) for d in input_shapes or ()) else input_shapes
        args = tuple(_zeros(module, shape) for shape in shapes or ())
    with _inference(module):
        try:
            return torch.export.export(module, args, kwargs, strict=False)
        except Exception as error:  # whatever the module's own code raises while it is traced
            lines = str(error).strip().splitlines() or [""]
            raise NotSupportedError(
                f"torch.export cannot trace {type(module).__name__}: {type(error).__name__}: {lines[0]}",
                hint="check the inputs; keep what depends on values out of forward, or export to ONNX and import that",
            ) from error


def _zeros(module: nn.Module, shape: Any) -> torch.Tensor:
    first = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(tuple(shape), dtype=first.dtype, device=first.device)


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients and without the fused attention that hides its parts; put back at the end."""
    training = [(m, m.training) for m in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m, mode in training:
            m.training = mode


class AtenCall(Step):
    """One call of an ATen op while it is translated.

    Attributes:
        kind: name of the op.
        args: its arguments by name, with defaults filled in; tensors are values of the draft, or stored.
        type: what torch says of its output (of the first one of several); None where it is not a tensor.
    """

    def __init__(self, draft: Draft, name: str, node: fx.Node, args: dict[str, Any]) -> None:
        super().__init__(draft, name)
        self.node, self.args = node, args
        self.kind = op_name(node)
        value = node.meta.get("val")
        first = value[0] if isinstance(value, tuple | list) and value else value
        self.type = type_of(first) if isinstance(first, torch.Tensor) else None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def live(self, name: str) -> str:
        """Argument ``name`` as a value that ops can read."""
        return self.hold(self.args[name])

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shape_of(self.args[name])

    def axis(self, name: str = "dim", of: str = "self") -> int:
        """Argument ``name``, an axis, counted from the front."""
        return int(self.args[name]) % len(self.shape(of))

    def weight(self, name: str) -> Stored:
        """Argument ``name``, which must be a stored tensor."""
        value = self.args[name]
        if not isinstance(value, Stored):
            raise UnsupportedError("weights that are computed")
        return value

    def operand(self, value: Any) -> str:
        """A tensor or a number as a value of the op's own element type."""
        assert self.type is not None
        if not isinstance(value, str | Stored):
            return self.hold(Stored((), self.type.dtype, values=np.asarray(value, np.float64)))
        held = self.hold(value)
        return held if self.dtype_of(held) == self.type.dtype else self.op("cast", held, to=self.type.dtype)

    def drop(self) -> None:
        """The op does nothing in inference: its output is its input."""
        self.draft.dropped[self.kind] += 1
        self.give(next(iter(self.args.values())))


def op_name(node: fx.Node) -> str:
    """``aten.add_.Tensor`` becomes ``add``."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        packet = str(target.overloadpacket.__name__)
        namespace = "" if target.namespace == "aten" else f"{target.namespace}."
        return namespace + (packet.removesuffix("_") if target._schema.is_mutable else packet)
    return str(getattr(target, "__name__", target))


def _is_in_place(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _zeros_like(traced: torch.Tensor) -> torch.Tensor:
    return torch.zeros(traced.shape, dtype=traced.dtype)


def type_of(tensor: torch.Tensor) -> TensorType:
    """Shape and element type of a tensor that is traced."""
    if not all(isinstance(d, int) for d in tensor.shape):
        raise ShapeError(f"the traced shape {tuple(tensor.shape)} depends on values")
    return TensorType(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def stored(tensor: torch.Tensor, source: TensorSource | None, *, learned: bool = False) -> Stored:
    """A tensor of the module, or one that was worked out, as the importer keeps it."""
    readable_values = not learned and tensor.numel() <= READ_VALUES and tensor.dtype != torch.bfloat16
    values = tensor.detach().cpu().numpy().copy() if readable_values else None
    return Stored(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), learned, source, values)


class ModuleImporter:
    """Turns one exported module into a network."""

    def __init__(self, module: nn.Module, program: ExportedProgram, name: str) -> None:
        self.module, self.program = module, program
        self.draft = Draft(name)
        self.unknown: Counter[str] = Counter()
        self._values: dict[fx.Node, Any] = {}
        self._known: dict[fx.Node, torch.Tensor] = {}  # follow from untrained tensors and numbers alone
        self._poisoned: set[fx.Node] = set()

    def run(self) -> Imported:
        """The network.

        Raises:
            UnsupportedOpError: some ops have no place in the catalogue; lists all of them.
        """
        self._declare_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
            elif node.op not in ("placeholder", "output"):
                self.unknown[f"{node.op} {node.target}"] += 1
                self._poisoned.add(node)
        if self.unknown:
            hint = "replace them in the module; `lutra ops` lists what is supported"
            raise UnsupportedOpError(f"module {self.draft.name!r}", self.unknown, hint=hint)
        outputs = self._outputs()
        Fuser(self.draft, outputs).run()
        return self.draft.finish(outputs)

    def _declare_inputs(self) -> None:
        canonical = _first_names(self.module)
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, self.program.graph_signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                value = node.meta.get("val")
                tensor = isinstance(value, torch.Tensor)
                self._values[node] = self.draft.input(node.name, type_of(value)) if tensor else value
                continue
            target = spec.target or node.name
            tensors = self.program.constants if spec.kind is InputKind.CONSTANT_TENSOR else self.program.state_dict
            tensor = tensors.get(target, self.program.constants.get(target))
            if not isinstance(tensor, torch.Tensor):
                self.unknown[f"input of kind {spec.kind.name}"] += 1
                self._poisoned.add(node)
                continue
            learned = spec.kind is InputKind.PARAMETER
            self._values[node] = stored(tensor, TensorSource(canonical.get(target, target)), learned=learned)
            if not learned and tensor.numel() <= KNOWN_LIMIT:
                self._known[node] = tensor.detach().cpu().clone()

    def _call(self, node: fx.Node) -> None:
        """Translates one call. One that cannot be is counted, and so are all others like it."""
        name = op_name(node)
        handler = HANDLERS.get(name)
        if not node.users and not _is_in_place(node):
            return  # checks of the tracer, and outputs that nobody reads
        if self._poisoned.intersection(node.all_input_nodes):
            self._poisoned.add(node)
            if handler is None and name != "getitem":
                self.unknown[name] += 1
            return
        try:
            self._values[node] = self._translated(node, handler)
        except UnsupportedError as problem:
            self.unknown[f"{name} with {problem}" if str(problem) else name] += 1
            self._poisoned.add(node)
        except ShapeError as error:
            raise CorruptModelError(f"cannot import {node.format_node()}: {error.message}") from None

    def _translated(self, node: fx.Node, handler: Handler | None) -> Any:
        if op_name(node) == "getitem":
            source, index = node.args
            assert isinstance(source, fx.Node)
            assert isinstance(index, int)
            parts = self._values[source]
            if index >= len(parts):
                raise UnsupportedError(f"output {index} of {op_name(source)}")
            return parts[index]
        if self._work_out(node):
            return None
        if handler is None:
            raise UnsupportedError
        single = isinstance(node.meta.get("val"), torch.Tensor)
        call = AtenCall(self.draft, self._name_of(node), node, self._arguments(node))
        handler(call)
        result = call.outputs[0] if single else tuple(call.outputs)
        self._write_back(node, result)
        return result

    def _write_back(self, node: fx.Node, result: Any) -> None:
        """An in-place op changes its first argument for all that read it later."""
        if not _is_in_place(node):
            return
        written = node.args[0]
        assert isinstance(written, fx.Node)
        if written.op == "call_function" and op_name(written) in _VIEWS:
            base = written.args[0]
            if isinstance(base, fx.Node) and len(base.users) > 1:
                raise UnsupportedError("an in-place write into a part of a tensor")
        self._values[written] = result

    def _work_out(self, node: fx.Node) -> bool:
        """Runs the op now where possible: masks, positions. In-place writes into parts of them work by aliasing."""
        value, name = node.meta.get("val"), op_name(node)
        if not isinstance(value, torch.Tensor) or value.numel() > KNOWN_LIMIT or name.startswith("rand"):
            return False
        missing = [source for source in node.all_input_nodes if source not in self._known]
        if missing and name not in _FILLERS:
            return False
        stand_ins = {source: _zeros_like(source.meta["val"]) for source in missing}
        args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda n: stand_ins.get(n, self._known.get(n)))
        assert callable(node.target)
        with torch.no_grad():
            self._known[node] = node.target(*args, **kwargs | ({"device": "cpu"} if "device" in kwargs else {}))
        return True

    def _arguments(self, node: fx.Node) -> dict[str, Any]:
        """Arguments by the names of the op's schema, with its defaults."""
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            raise UnsupportedError
        named = {a.name: a.default_value if a.has_default_value() else None for a in target._schema.arguments}
        named |= dict(zip(named, node.args, strict=False)) | dict(node.kwargs)
        if target._schema.is_mutable:  # in-place forms call "self" what others call "input"
            named.setdefault("input", named.get("self"))
        return {key: self._value(argument) for key, argument in named.items()}

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self._tensor(argument)
        if isinstance(argument, list | tuple):
            return [self._value(item) for item in argument]
        return argument

    def _tensor(self, node: fx.Node) -> Any:
        """What a node made: a value of the draft, a stored tensor, a list of these, or a number."""
        known = self._known.get(node)
        if known is None or node.op == "placeholder":
            return self._values[node]
        if known.numel() <= MAX_KEPT_VALUES:
            return stored(known, None)
        self.draft.constants[node.name] = known.numpy().copy()
        return stored(known, TensorSource(node.name))

    def _name_of(self, node: fx.Node) -> str:
        """The path of the module that the call stands in, with the op behind it unless it is one of torch's layers."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = stack[-1][0] if stack else ""
        if not path:
            return op_name(node)
        module = self.module.get_submodule(path.partition("@")[0])  # the second call of a module is named "path@1"
        is_layer = type(module).__module__.startswith("torch.nn.") and not any(True for _ in module.children())
        return readable(path) if is_layer else f"{readable(path)}.{op_name(node)}"

    def _outputs(self) -> tuple[str, ...]:
        (output,) = (node for node in self.program.graph.nodes if node.op == "output")
        specs = self.program.graph_signature.output_specs
        results: list[str] = []
        for value, spec in zip(output.args[0], specs, strict=True):
            if spec.kind is OutputKind.USER_OUTPUT and isinstance(value, fx.Node):
                found: Value = self._tensor(value)
                results.append(found if isinstance(found, str) else self.draft.hold(found, "output"))
        if not results:
            raise UsageError(f"module {self.draft.name!r} returns no tensor")
        return tuple(results)


def _first_names(module: nn.Module) -> dict[str, str]:
    """By the name of each parameter, the first name of the same tensor: tied parameters have several."""
    seen: dict[int, str] = {}
    names = module.named_parameters(remove_duplicate=False)
    return {name: seen.setdefault(id(parameter), name) for name, parameter in names}
