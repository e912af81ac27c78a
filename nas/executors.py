"""Where architectures are evaluated besides here: any `concurrent.futures` executor, or a Ray cluster made into one."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from ..networks.errors import MissingDependencyError

_Result = TypeVar("_Result")


class RayExecutor(Executor):
    """A Ray cluster as an executor of `concurrent.futures`: each call is a task of its own, on whichever machine.

    Where this process is already connected to a cluster (`ray.init`), that one is used; else one is started or joined,
    and left again at `shutdown`.

    Args:
        address: of a running cluster: "auto", "ray://host:port"; None to start one on this machine.
        resources: what a task needs, as the options of a Ray task: ``{"num_cpus": 4, "num_gpus": 1}``.

    Raises:
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self, address: str | None = None, resources: Mapping[str, Any] | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("ray", "fleet", "evaluation on several machines") from error
        self._ray = ray
        self._resources = {"max_retries": 0, **(resources or {})}
        self._ours = not ray.is_initialized()
        if self._ours:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> "Future[_Result]":
        """Run ``fn(*args, **kwargs)`` as a task."""
        task = self._ray.remote(fn).options(**self._resources)
        future: Future[_Result] = task.remote(*args, **kwargs).future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, if it was joined here; tasks that still run there end with it."""
        del wait, cancel_futures
        if self._ours:
            self._ray.shutdown()
