"""`peak_activation_bytes`: the most memory that tensors take which come into being during a step."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storage of every tensor that an op makes, from then until nobody holds it any more."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        given = {id(storage) for storage in _storages((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if id(storage) not in given and id(storage) not in self._seen:
                self._follow(storage)
        return made

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def gone(_: object) -> None:
            self._now -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, gone)
        self._now += size
        self.peak = max(self.peak, self._now)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def peak_activation_bytes(step: Callable[[], object]) -> int:
    """Peak of the memory that tensors take which are made during ``step``, in bytes.

    Each storage counts once, however many tensors look at it, from the op that makes it until it is freed: what is kept
    for the backward pass, gradients of activations, what an op needs between two others. What was there before does
    not count: weights, images, and, after a first step, the state of optimisers. Memory that a kernel takes and gives
    back inside one op is not seen. Gradients of weights count.
    """
    live = _LiveBytes()
    with live:
        step()
    return live.peak
