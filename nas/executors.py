"""Where architectures are evaluated besides here: any `concurrent.futures` executor, or a Ray cluster made into one."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from ..networks.errors import WorkerCrashedError
from .cluster import connect, ray_module

_Result = TypeVar("_Result")

RETRIES = 2


class RayExecutor(Executor):
    """A Ray cluster as an executor of `concurrent.futures`: each call is a task of its own, on whichever machine.

    Where this process is already connected to a cluster (`ray.init`), that one is used; else one is started or joined,
    and left again at `shutdown`.

    A call whose machine or process dies is made again, on whichever machine is there; what dies again and again fails.
    So calls should have no effect but their result. A call that raises is not made again.

    Args:
        address: of a running cluster: "auto", "host:port", "ray://host:port"; None to start one on this machine.
        resources: what a task needs, as the options of a Ray task: ``{"num_cpus": 4, "num_gpus": 1}``.
        retries: how often a call is made again after its machine or process died.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: a malformed address.
        UnreachableFleetError: no cluster answers at the address.
    """

    def __init__(
        self, address: str | None = None, resources: Mapping[str, Any] | None = None, *, retries: int = RETRIES
    ) -> None:
        self._ray = ray_module("evaluation on several machines")
        self._ours = connect(address, "evaluation on several machines")
        # Ray's own retries know no bound where the memory is used up: a network that is too large would never end.
        self._task = self._ray.remote(_call).options(**{"max_retries": 0, **(resources or {})})
        self._retries = retries
        # Ray tells of ends in a thread that may not wait for Ray.
        self._ends = ThreadPoolExecutor(1, thread_name_prefix="lutra-ray-ends")

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> "Future[_Result]":
        """Run ``fn(*args, **kwargs)`` as a task. Its future raises WorkerCrashedError where it died too often."""
        future: Future[_Result] = Future()
        self._start(partial(self._task.remote, fn, args, kwargs), future, self._retries)
        return future

    def _start(self, call: Callable[[], Any], future: "Future[Any]", left: int) -> None:
        reference = call()
        future.add_done_callback(lambda done: self._ray.cancel(reference) if done.cancelled() else None)
        reference.future().add_done_callback(lambda done: self._hear(done, call, future, left))

    def _hear(self, done: "Future[Any]", call: Callable[[], Any], future: "Future[Any]", left: int) -> None:
        with suppress(RuntimeError):  # shut down meanwhile, so that nobody waits for it
            self._ends.submit(self._ended, done, call, future, left)

    def _ended(self, done: "Future[Any]", call: Callable[[], Any], future: "Future[Any]", left: int) -> None:
        error = done.exception()
        if error is not None and left and self._is_death(error) and not future.cancelled():
            self._start(call, future, left - 1)
        elif future.set_running_or_notify_cancel():
            if error is None:
                future.set_result(done.result())
            elif self._is_death(error):
                tries = self._retries + 1
                future.set_exception(
                    WorkerCrashedError(f"its process or machine died {tries} times ({type(error).__name__})")
                )
            else:
                future.set_exception(error)

    def _is_death(self, error: BaseException) -> bool:
        """Whether something died, rather than the call itself having raised."""
        died = self._ray.exceptions
        return isinstance(error, died.RayError) and not isinstance(
            error, died.RayTaskError | died.TaskCancelledError | died.TaskUnschedulableError
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, if it was joined here; tasks that still run there end with it."""
        del cancel_futures
        if self._ours:
            self._ray.shutdown()
        self._ends.shutdown(wait=wait, cancel_futures=True)


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What runs on the other machine; sent once, whatever is called."""
    return fn(*args, **kwargs)
