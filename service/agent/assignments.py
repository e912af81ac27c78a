"""`Assignments`: the jobs of a server that an agent has, each with its twin in the agent's own queue."""

import uuid
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import delete, select, update

from ...luts import Store
from ..jobs.job import WAITING, Job
from ..jobs.queue import JobQueue
from .schema import assignment, intent, require_agent_schema

Fate = Literal["mine", "lost", "return"]
MINE: Final[Fate] = "mine"
LOST: Final[Fate] = "lost"
RETURN: Final[Fate] = "return"


@dataclass(frozen=True)
class Assignment:
    """A job of the server that the agent has.

    Attributes:
        job_id: of the job there, and of its twin here.
        token: the right to tell about it.
        source: names what is written down here of it; a twin that begins anew has another one.
        fate: "mine"; "lost": the server has given it away, or ended it, and wants to hear nothing more; "return": it
            is to be given back.
    """

    job_id: str
    token: str
    source: str
    fate: Fate


class Assignments:
    """The jobs of a server that an agent has.

    Args:
        store: the agent's own.
        queue: of that store.
    """

    def __init__(self, store: Store, queue: JobQueue) -> None:
        require_agent_schema(store)
        self._store, self._queue, self._database = store, queue, store.database

    def next_token(self) -> str:
        """What the next job is asked for with: the same until one is accepted, whatever happens in between."""
        with self._database.write() as connection:
            known = connection.execute(select(intent.c.token)).scalars().first()
            if known is None:
                known = uuid.uuid4().hex
                connection.execute(intent.insert().values(token=known))
            return known

    def accept(self, job: Job, token: str) -> None:
        """Take over a job that was claimed at the server.

        Raises:
            UnknownNameError, JobRequestError: this version of Lutra cannot do it.
        """
        with self._store.transaction():
            self._queue.adopt(job.id, job.kind, job.request, limit_s=job.limit_s)
            with self._database.write() as connection:
                connection.execute(delete(intent))
                row = {"job_id": job.id, "token": token, "source": uuid.uuid4().hex, "fate": MINE}
                connection.execute(assignment.insert().values(row))

    def decline(self) -> None:
        """Forget what the last job was asked for with: it has been told that it cannot be done here."""
        with self._database.write() as connection:
            connection.execute(delete(intent))

    def all(self) -> list[Assignment]:
        """All of them."""
        with self._database.read() as connection:
            return [Assignment(*row) for row in connection.execute(select(assignment))]

    def renew(self, held: Assignment) -> Assignment:
        """Another right to tell about a job, to be claimed with: the one so far is not taken any more."""
        fresh = Assignment(held.job_id, uuid.uuid4().hex, held.source, held.fate)
        with self._database.write() as connection:
            connection.execute(self._of(held).values(token=fresh.token))
        return fresh

    def decide(self, held: Assignment, fate: Fate) -> None:
        """Say what is to become of one."""
        with self._database.write() as connection:
            connection.execute(self._of(held).values(fate=fate))

    def close(self, held: Assignment) -> None:
        """Forget one, with its twin: the server has all of it."""
        with self._store.transaction():
            if self._queue.get(held.job_id).state in WAITING:
                self._queue.cancel(held.job_id)
            self._queue.delete(held.job_id)
            with self._database.write() as connection:
                connection.execute(delete(assignment).where(assignment.c.job_id == held.job_id))

    def _of(self, held: Assignment):  # type: ignore[no-untyped-def]
        return update(assignment).where(assignment.c.job_id == held.job_id)
