"""`QueueContract`: what every queue of jobs does, whatever database its store is on."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest
from sqlalchemy import update

from ...luts import Store
from ...networks.errors import (
    IdempotencyError,
    JobLostError,
    JobRequestError,
    JobStateError,
    QueueFullError,
    UnknownJobError,
    UnknownNameError,
    UsageError,
)
from ..schema import job
from ._streams import Standing, Told
from .job import FINISHED, Claim, Worker
from .kinds import checked_request
from .limits import Limits
from .queue import JobQueue

OpenStore: TypeAlias = Callable[[], Store]

NULL: dict[str, Any] = {"networks": ["mobilenet_v2"], "device": "null"}
"""A request for a profile of the null device."""

HERE = Worker("here", "elsewhere", None)  # known by its heartbeat alone


def on(device: str) -> dict[str, Any]:
    """A request for a profile of a device."""
    return NULL | {"device": device}


def take(queue: JobQueue, worker: Worker = HERE) -> Claim:
    """The next job, which must be there."""
    claim = queue.claim(worker, ["profile"])
    assert claim is not None
    return claim


def states(queue: JobQueue, job_id: str) -> list[str]:
    """The states that a job went through."""
    return [event["state"] for event in queue.events(job_id) if event["event"] == "state"]


def grow_old(store: Store, seconds: float) -> None:
    """Make all heartbeats, and the ends of all jobs, so much older."""
    with store.database.write() as connection:
        connection.execute(update(job).values(heartbeat_ms=job.c.heartbeat_ms - 1000 * seconds))
        for row in connection.execute(job.select().where(job.c.finished_at.is_not(None))).all():
            ended = datetime.fromisoformat(row.finished_at) - timedelta(seconds=seconds)
            moved = ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            connection.execute(update(job).where(job.c.number == row.number).values(finished_at=moved))


class QueueContract:
    """Tests of a queue; a subclass has a fixture ``open_store`` that opens the same empty store again and again."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Any:
        with open_store() as store:
            yield store

    @pytest.fixture
    def queue(self, store: Store) -> JobQueue:
        return JobQueue(store)

    def test_a_job_is_kept_with_all_of_its_request(self, queue: JobQueue, open_store: OpenStore) -> None:
        made = queue.submit("profile", NULL, priority=3, limit_s=60.0)
        with open_store() as other:
            found = JobQueue(other).get(made.id)
        assert found == made
        assert (found.kind, found.state, found.device, found.priority) == ("profile", "queued", "null", 3)
        assert found.request["networks"] == ["mobilenet_v2"]
        assert found.request["threads"] == 1  # defaults stand as they were when it was asked for
        assert states(queue, made.id) == ["created", "queued"]

    @pytest.mark.parametrize(
        ("kind", "request_"),
        [
            ("profile", NULL | {"budget_s": 9.5, "check": False}),
            ("fit", {"data": {"width": [1.0, 2.0], "depth": [3.0, 1.0], "latency_ms": [1.5, 2.5]}, "test_share": 0.5}),
            ("fit", {"table": "null", "models": ["additive"]}),
            ("fit", {"samples": 5, "space": "fbnet", "device": "null"}),
            ("search", {"space": "fbnet", "max_ms": 5.0, "also": {"phone": 3.0, "board": 2.0}, "remeasure": 2}),
        ],
    )
    def test_what_was_asked_is_still_what_is_asked_when_it_is_taken(
        self, queue: JobQueue, kind: str, request_: dict[str, Any]
    ) -> None:
        stored = queue.get(queue.submit(kind, request_).id).request
        assert checked_request(kind, stored)[1] == checked_request(kind, request_)[1]
        assert list(stored.get("data") or {}) == list(request_.get("data") or {})  # codes are in that order

    def test_what_makes_no_sense_is_refused_and_leaves_nothing(self, queue: JobQueue) -> None:
        with pytest.raises(UnknownNameError, match="unknown job kind 'profiel'"):
            queue.submit("profiel", NULL)
        for request, field in (
            ({}, ""),
            (NULL | {"threads": 0}, "threads"),
            (NULL | {"thread": 1}, "thread"),
            (NULL | {"networks": ["/etc/passwd"]}, "networks.0"),
            (NULL | {"networks": ["no_such_network"]}, "networks.0"),
            (NULL | {"networks": [{"format": "lutra.network", "version": 1}]}, "networks.0"),
            (NULL | {"spaces": ["space.py"]}, "spaces.0"),
            (NULL | {"device": "../board.yaml"}, "device"),
            (NULL | {"engine": "./own.elf"}, "engine"),
            (NULL | {"budget_s": float("inf")}, "budget_s"),
        ):
            with pytest.raises(JobRequestError) as caught:
                queue.submit("profile", request)
            assert any(name.startswith(field) for name in caught.value.problems), (request, caught.value.problems)
        for limit_s in (0, -1, float("nan"), float("inf")):
            with pytest.raises(UsageError, match="time limit"):
                queue.submit("profile", NULL, limit_s=limit_s)
        with pytest.raises(UsageError, match="idempotency key"):
            queue.submit("profile", NULL, idempotency_key="")
        assert queue.list().jobs == ()

    def test_one_key_stands_for_one_request(self, queue: JobQueue) -> None:
        first = queue.submit("profile", NULL, idempotency_key="k")
        assert queue.submit("profile", dict(reversed(NULL.items())), idempotency_key="k") == first
        with pytest.raises(IdempotencyError) as caught:
            queue.submit("profile", on("host"), idempotency_key="k")
        assert caught.value.job == first.id
        assert len(queue.list().jobs) == 1

    def test_the_first_of_the_highest_priority_is_taken(self, queue: JobQueue) -> None:
        order = [queue.submit("profile", on(f"d{n}"), priority=p).id for n, p in enumerate([0, 5, 0, 5, -1])]
        taken = [take(queue).job.id for _ in order]
        assert taken == [order[n] for n in (1, 3, 0, 2, 4)]
        assert queue.claim(HERE, ["profile"]) is None

    def test_workers_take_what_they_can_do(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        assert queue.claim(HERE, ["fit"]) is None
        assert queue.claim(HERE, []) is None
        assert queue.claim(HERE, ["profile"], ["host"]) is None
        assert queue.claim(HERE, ["profile"], []) is None
        claim = queue.claim(HERE, ["profile"], ["host", "null"])
        assert claim is not None
        assert claim.job.id == made.id
        assert (claim.job.state, claim.job.attempts, claim.job.worker) == ("running", 1, "here")

    def test_a_device_is_measured_by_one_job_at_a_time(self, queue: JobQueue) -> None:
        first, second, other = (queue.submit("profile", on(name)) for name in ("a", "a", "b"))
        one = take(queue)
        assert one.job.id == first.id
        assert take(queue).job.id == other.id
        assert queue.claim(HERE, ["profile"]) is None
        queue.cancel(first.id)
        assert queue.claim(HERE, ["profile"]) is None  # it still measures
        queue.finish(first.id, one.token, "cancelled")
        assert take(queue).job.id == second.id

    def test_one_job_goes_to_one_worker(self, queue: JobQueue, open_store: OpenStore) -> None:
        for n in range(12):
            queue.submit("profile", on(f"d{n}"))
        taken: list[str] = []

        def work() -> None:
            with open_store() as store:
                mine = JobQueue(store)
                while (claim := mine.claim(HERE, ["profile"])) is not None:
                    taken.append(claim.job.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == len(set(taken)) == 12

    def test_ends(self, queue: JobQueue) -> None:
        for state in FINISHED:
            made = queue.submit("profile", NULL)
            claim = take(queue)
            error = {"code": "LUTRA-E500", "message": "it broke", "hint": None} if state == "failed" else None
            ended = queue.finish(made.id, claim.token, state, result={"rows": 3}, error=error)
            assert (ended.state, ended.error, ended.is_finished) == (state, error, True)
            assert ended.finished_at is not None
            assert queue.result(made.id) == {"rows": 3}
            assert states(queue, made.id) == ["created", "queued", "running", state]
            assert queue.finish(made.id, claim.token, state) == ended
            for other in FINISHED:
                if other != state:
                    with pytest.raises(JobLostError):
                        queue.finish(made.id, claim.token, other)
        with pytest.raises(UsageError, match="does not end as 'running'"):
            queue.finish(made.id, claim.token, "running")

    def test_cancelling(self, queue: JobQueue) -> None:
        waiting, running = queue.submit("profile", on("a"), priority=-1), queue.submit("profile", on("b"))
        assert queue.cancel(waiting.id).state == "cancelled"
        assert queue.cancel(waiting.id).state == "cancelled"
        claim = take(queue)
        assert queue.heartbeat(running.id, claim.token) == "running"
        assert queue.cancel(running.id).state == "cancelling"
        assert queue.cancel(running.id).state == "cancelling"
        assert queue.heartbeat(running.id, claim.token) == "cancelling"
        queue.finish(running.id, claim.token, "succeeded")
        with pytest.raises(JobStateError, match="is succeeded: it cannot be cancelled"):
            queue.cancel(running.id)

    def test_a_silent_worker_loses_its_job_and_can_write_no_more(self, store: Store, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        old = take(queue)
        queue.append_events(made.id, old.token, [{"event": "row", "n": 1}])
        grow_old(store, 61)
        new = take(queue)
        assert (new.job.id, new.job.attempts) == (made.id, 2)
        writes: list[Callable[[], object]] = [
            lambda: queue.heartbeat(made.id, old.token),
            lambda: queue.append_events(made.id, old.token, [{"event": "row", "n": 2}]),
            lambda: queue.append_log(made.id, old.token, "x"),
            lambda: queue.put_file(made.id, old.token, "x", b"x"),
            lambda: queue.finish(made.id, old.token, "succeeded"),
            lambda: queue.give_back(made.id, old.token, "x"),
        ]
        for write in writes:
            with pytest.raises(JobLostError):
                write()
        queue.append_events(made.id, new.token, [{"event": "row", "n": 3}])
        assert [event["n"] for event in queue.events(made.id) if event["event"] == "row"] == [1, 3]
        assert queue.log(made.id) == ""
        assert queue.files(made.id) == ()

    def test_a_heartbeat_keeps_a_job(self, store: Store, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        for _ in range(3):
            grow_old(store, 40)
            queue.heartbeat(made.id, claim.token)
        assert queue.claim(HERE, ["profile"]) is None

    def test_a_dead_worker_on_this_machine_is_seen_at_once(self, queue: JobQueue) -> None:
        here = Worker.here()
        made = queue.submit("profile", NULL)
        assert queue.claim(here, ["profile"]) is not None
        assert queue.claim(HERE, ["profile"]) is None
        queue.give_back(made.id, _token(queue, made.id), "test")
        dead = Worker("dead", here.host, _dead_pid())
        assert queue.claim(dead, ["profile"]) is not None
        assert take(queue).job.attempts == 3

    def test_a_job_that_kills_its_workers_fails_unless_it_gets_on(self, store: Store, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        for _ in range(5):  # as often as it likes, if each gets on
            claim = take(queue)
            queue.append_events(made.id, claim.token, [{"event": "row"}])
            grow_old(store, 61)
        for _ in range(queue.limits.losses):
            take(queue)
            grow_old(store, 61)
        assert queue.claim(HERE, ["profile"]) is None
        ended = queue.get(made.id)
        assert ended.state == "failed"
        assert ended.error is not None
        assert ended.error["code"] == "LUTRA-E501"

    def test_a_job_whose_worker_dies_while_it_is_cancelled_is_cancelled(self, store: Store, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        take(queue)
        queue.cancel(made.id)
        grow_old(store, 61)
        assert queue.claim(HERE, ["profile"]) is None
        assert queue.get(made.id).state == "cancelled"

    def test_given_back_jobs_are_not_counted_as_losses(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        for _ in range(queue.limits.losses + 2):
            claim = take(queue)
            assert queue.give_back(made.id, claim.token, "the worker was told to stop").state == "queued"
        assert queue.get(made.id).attempts == queue.limits.losses + 2

    def test_events_are_numbered_without_gaps(self, queue: JobQueue, open_store: OpenStore) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        seen: list[int] = []

        def tell(name: str) -> None:
            with open_store() as store:
                mine = JobQueue(store)
                for n in range(15):
                    mine.append_events(made.id, claim.token, [{"event": name, "n": n}, {"event": name, "n": n}])

        threads = [threading.Thread(target=tell, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or queue.events(made.id, len(seen)):
            seen += [event["number"] for event in queue.events(made.id, len(seen), limit=7)]
        assert seen == list(range(1, 3 + 2 * 30 + 1))
        assert queue.get(made.id).events == len(seen)

    def test_an_event_that_is_too_large_or_no_json_is_refused(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        for event in ({"event": "x" * queue.limits.event_bytes}, {"event": float("nan")}):
            with pytest.raises(UsageError):
                queue.append_events(made.id, claim.token, [{"event": "good"}, event])
        assert len(queue.events(made.id)) == 3

    def test_logs_are_read_on_and_hold_no_secrets(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        assert queue.log(made.id) == ""
        queue.append_log(made.id, claim.token, "one\n")
        queue.append_log(made.id, claim.token, "postgresql://lutra:hunter2@db/x\n")
        queue.append_log(made.id, claim.token, "Authorization: Bearer abcdefghijk.lmn\x00op\n")
        queue.append_log(made.id, claim.token, "LUTRA_TOKEN=s3cr3t-s3cr3t rows=12\n")
        text = queue.log(made.id)
        assert text.startswith("one\npostgresql://lutra:[hidden]@db/x\n")
        assert "rows=12" in text
        for secret in ("hunter2", "abcdefghijk", "s3cr3t"):
            assert secret not in text
        for after in range(len(text) + 2):
            assert queue.log(made.id, after) == text[after:]

    def test_a_claim_whose_answer_was_lost_is_given_again(self, queue: JobQueue) -> None:
        made, other = queue.submit("profile", NULL), queue.submit("profile", on("b"))
        first = queue.claim(HERE, ["profile"], token="0" * 32)
        assert first is not None
        again = queue.claim(HERE, ["profile"], token="0" * 32)
        assert again is not None
        assert (again.job.id, again.token, again.job.attempts) == (made.id, "0" * 32, 1)
        queue.finish(made.id, "0" * 32, "succeeded")
        third = queue.claim(HERE, ["profile"], token="0" * 32)
        assert third is not None
        assert third.job.id == other.id

    def test_a_job_that_was_lost_is_claimed_again_by_its_id(self, store: Store, queue: JobQueue) -> None:
        queue.submit("profile", on("b"), priority=5)
        made = queue.submit("profile", NULL)
        first = queue.claim(HERE, ["profile"], ["null"])
        assert first is not None
        assert queue.claim(HERE, ["profile"], job_id=made.id) is None
        grow_old(store, 61)
        second = queue.claim(HERE, ["profile"], job_id=made.id)
        assert second is not None
        assert second.job.id == made.id
        with pytest.raises(JobLostError):
            queue.report(made.id, first.token, Told(source="a" * 32))
        assert queue.report(made.id, second.token, Told(source="a" * 32)).state == "running"

    def test_what_is_told_twice_counts_once(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        token = take(queue).token

        def tell(numbers: list[int], log_after: int = 0, log: str = "", source: str = "a" * 32) -> Standing:
            events = [{"number": n, "event": "said", "n": n} for n in numbers]
            return queue.report(made.id, token, Told(source=source, events=events, log_after=log_after, log=log))

        for _ in range(2):
            standing = tell([1, 2, 5], log="one\n")
            assert (standing.events, standing.log_characters) == (5, 4)
        standing = tell([2, 5, 6], log_after=2, log="e\ntwo\n")
        assert (standing.events, standing.log_characters) == (6, 8)
        assert tell([7], log_after=99, log="behind a gap").log_characters == 8
        tell([1], log="other\n", source="b" * 32)
        said = [event["n"] for event in queue.events(made.id) if event["event"] == "said"]
        assert said == [1, 2, 5, 6, 7, 1]
        assert queue.log(made.id) == "one\ntwo\nother\n"
        numbers = [event["number"] for event in queue.events(made.id)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert queue.get(made.id).events == len(numbers)
        with pytest.raises(UsageError, match="too large"):
            queue.report(
                made.id,
                token,
                Told(source="a" * 32, events=[{"number": 8, "event": "x" * queue.limits.event_bytes}]),
            )
        queue.cancel(made.id)
        assert tell([]).state == "cancelling"
        queue.finish(made.id, token, "cancelled")
        queue.delete(made.id)

    def test_a_job_of_another_queue_keeps_its_id(self, queue: JobQueue) -> None:
        job_id = "f" * 32
        made = queue.adopt(job_id, "profile", NULL, limit_s=5.0)
        assert (made.id, made.state, made.limit_s, made.device) == (job_id, "queued", 5.0, "null")
        assert queue.adopt(job_id, "profile", NULL) == made
        token = take(queue).token
        queue.append_events(job_id, token, [{"event": "said"}])
        queue.finish(job_id, token, "succeeded")
        anew = queue.adopt(job_id, "profile", NULL)
        assert (anew.state, anew.attempts, anew.events) == ("queued", 0, 2)
        with pytest.raises(JobRequestError):
            queue.adopt("e" * 32, "profile", {"what": "is this"})

    def test_a_log_has_an_end(self, store: Store) -> None:
        queue = JobQueue(store, limits=Limits(log_characters=10))
        made = queue.submit("profile", NULL)
        claim = take(queue)
        for _ in range(5):
            queue.append_log(made.id, claim.token, "123456")
        assert queue.log(made.id).startswith("1234561234\n[the log is full")

    def test_files(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        queue.put_file(made.id, claim.token, "model/weights.npz", bytes(range(256)))
        queue.put_file(made.id, claim.token, "a.json", b"{}")
        queue.put_file(made.id, claim.token, "a.json", b"{ }")
        assert [(file.name, file.size_bytes) for file in queue.files(made.id)] == [
            ("a.json", 3),
            ("model/weights.npz", 256),
        ]
        assert queue.file(made.id, "model/weights.npz") == bytes(range(256))
        with pytest.raises(UnknownJobError, match="no file 'b'"):
            queue.file(made.id, "b")
        for name in ("../x", "/x", "a/../x", "a//x", ".x", "a/", "", "a\\b", "a\n", "x" * 256):
            with pytest.raises(UsageError, match="no name for a file"):
                queue.put_file(made.id, claim.token, name, b"")

    def test_files_have_bounds(self, store: Store) -> None:
        queue = JobQueue(store, limits=Limits(file_bytes=10, files_bytes=15))
        made = queue.submit("profile", NULL)
        claim = take(queue)
        queue.put_file(made.id, claim.token, "a", b"x" * 10)
        for name, size in (("b", 11), ("b", 6)):
            with pytest.raises(UsageError, match="too large"):
                queue.put_file(made.id, claim.token, name, b"x" * size)
        queue.put_file(made.id, claim.token, "a", b"x" * 9)
        queue.put_file(made.id, claim.token, "b", b"x" * 6)

    def test_the_queue_is_bounded(self, store: Store) -> None:
        queue = JobQueue(store, limits=Limits(waiting=2))
        first = queue.submit("profile", NULL, idempotency_key="k")
        queue.submit("profile", NULL)
        submits: list[Callable[[], object]] = [lambda: queue.submit("profile", NULL), lambda: queue.clone(first.id)]
        for submit in submits:
            with pytest.raises(QueueFullError):
                submit()
        assert queue.submit("profile", NULL, idempotency_key="k") == first
        take(queue)
        queue.submit("profile", NULL)

    def test_requests_and_results_are_bounded(self, store: Store) -> None:
        queue = JobQueue(store, limits=Limits(request_bytes=1000, result_bytes=20))
        with pytest.raises(JobRequestError, match="1000 are allowed"):
            queue.submit("profile", NULL | {"networks": ["mobilenet_v2"] * 100})
        made = queue.submit("profile", NULL)
        claim = take(queue)
        with pytest.raises(UsageError, match="too large"):
            queue.finish(made.id, claim.token, "succeeded", result={"x": "x" * 20})
        assert queue.get(made.id).state == "running"

    def test_clones_and_deletes(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL, priority=2, limit_s=5.0, idempotency_key="k")
        copy = queue.clone(made.id)
        assert (copy.cloned_from, copy.request, copy.priority, copy.limit_s) == (made.id, made.request, 2, 5.0)
        with pytest.raises(JobStateError, match="cannot be deleted"):
            queue.delete(made.id)
        queue.cancel(made.id)
        queue.delete(made.id)
        asks: list[Callable[[str], object]] = [queue.get, queue.cancel, queue.clone, queue.delete]
        asks += [queue.events, queue.log, queue.result, queue.files]
        for ask in asks:
            with pytest.raises(UnknownJobError):
                ask(made.id)
        assert queue.get(copy.id).state == "queued"

    def test_old_jobs_are_removed_with_all_that_is_theirs(self, store: Store) -> None:
        queue = JobQueue(store, limits=Limits(retention_s=100.0))
        old = queue.submit("profile", NULL)
        claim = take(queue)
        queue.append_log(old.id, claim.token, "x")
        queue.put_file(old.id, claim.token, "x", b"x")
        queue.finish(old.id, claim.token, "succeeded")
        waiting = queue.submit("profile", NULL)
        assert queue.prune() == 0
        grow_old(store, 101)
        assert queue.prune() == 1
        assert [found.id for found in queue.list().jobs] == [waiting.id]
        with store.database.read() as connection:
            for table in ("job_event", "job_log", "job_file"):
                left = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                assert left == (2 if table == "job_event" else 0)

    def test_pages(self, queue: JobQueue) -> None:
        made = [queue.submit("profile", on("a" if n % 2 else "b")).id for n in range(7)]
        queue.cancel(made[3])
        seen: list[str] = []
        after = None
        while True:
            page = queue.list(after=after, limit=3)
            seen += [found.id for found in page.jobs]
            after = page.after
            if after is None:
                break
        assert seen == made[::-1]
        assert [found.id for found in queue.list(device="a", state="queued").jobs] == [made[5], made[1]]
        assert queue.list(kind="fit").jobs == ()
        assert queue.counts() == {"queued": 6, "cancelled": 1}
        with pytest.raises(UnknownJobError):
            queue.list(after="x")
        with pytest.raises(UsageError):
            queue.list(limit=0)

    def test_no_result_yet(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        with pytest.raises(JobStateError, match="is queued: it has no result"):
            queue.result(made.id)

    def test_the_token_is_never_shown(self, queue: JobQueue) -> None:
        made = queue.submit("profile", NULL)
        claim = take(queue)
        shown = repr([queue.get(made.id).to_dict(), queue.list().jobs, queue.events(made.id)])
        assert claim.token not in shown


def _token(queue: JobQueue, job_id: str) -> str:
    with queue._database.read() as connection:
        token: str = connection.execute(job.select().where(job.c.id == job_id)).one().token
        return token


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
