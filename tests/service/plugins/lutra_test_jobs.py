"""A kind of job from another package, that behaves well or badly as it is asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from lutra.networks.errors import NotSupportedError, StoreUnavailableError
from lutra.service.jobs.context import Context
from lutra.service.jobs.kinds import JOB_KINDS, JobKind, Request


class TestRequest(Request):
    does: Literal["ends", "waits", "ignores", "dies", "dies-once", "fails", "breaks", "leaves-child", "loses-store"]
    device: str | None = None


@JOB_KINDS.register("test-job")
class TestJob(JobKind[TestRequest]):
    request_type = TestRequest
    self_contained = True

    @classmethod
    def device_of(cls, request: TestRequest) -> str | None:
        return request.device

    def run(self, request: TestRequest, context: Context) -> Mapping[str, Any]:
        print(f"{request.does} with postgresql://me:hunter2@db/x")
        (context.folder / "left.txt").write_text("left")
        context.event({"event": "begun", "pid": os.getpid(), "group": os.getpgid(0)})
        return getattr(self, "_" + request.does.replace("-", "_"))(context) or {"does": request.does}

    def _ends(self, context: Context) -> None:
        context.keep("note.txt", b"kept")

    def _waits(self, context: Context) -> Mapping[str, Any]:
        assert context.cancel.wait(60)
        return {"rows": 7}

    def _ignores(self, context: Context) -> None:
        time.sleep(60)

    def _dies(self, context: Context) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _dies_once(self, context: Context) -> None:
        if context.job.attempts == 1:
            time.sleep(0.5)  # until what happened is told
            self._dies(context)

    def _fails(self, context: Context) -> None:
        raise NotSupportedError("this is not done here", hint="do it elsewhere")

    def _breaks(self, context: Context) -> None:
        raise ZeroDivisionError("by nothing")

    def _leaves_child(self, context: Context) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
        context.event({"event": "child", "pid": child.pid})
        time.sleep(60)

    def _loses_store(self, context: Context) -> None:
        if context.job.attempts == 1:
            raise StoreUnavailableError("the server does not answer")
