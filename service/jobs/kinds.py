"""`JobKind`: what a kind of job takes and does. Built-ins register here; others come through entry points."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ...networks.errors import JobRequestError
from ...networks.kinds import Kinds

if TYPE_CHECKING:
    from .context import Context


class Request(BaseModel):
    """Base of what kinds of jobs are asked: plain JSON data, and nothing that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Asked = TypeVar("Asked", bound=Request)


class JobKind(ABC, Generic[Asked]):
    """One kind of job. A request never names a file or code of the machine that runs it: it may come from afar.

    Attributes:
        kind: its name, given by `JOB_KINDS.register`.
        request_type: what a request is checked by; its JSON schema is the kind's documentation.
        self_contained: whether it takes nothing from the store but rows of the device that it measures, so that an
            agent can run it from afar, in a store of its own.
    """

    kind: ClassVar[str]
    request_type: ClassVar[type[Request]]
    self_contained: ClassVar[bool] = False

    @classmethod
    def device_of(cls, request: Asked) -> str | None:
        """The device that a job measures, which it must have to itself; None where it measures nothing."""
        del request
        return None

    @classmethod
    def waits_for(cls, request: Asked) -> str | None:
        """The id of a job that has to succeed first; None where there is none."""
        del request
        return None

    @abstractmethod
    def run(self, request: Asked, context: "Context") -> Mapping[str, Any]:
        """Do it, in a process of its own; returns the result as plain JSON data.

        When ``context.cancel`` is set, it is to end soon: what is done stands, and what it returns is kept.

        Raises:
            LutraError: it cannot be done; the job has failed, for that reason.
        """


def _load() -> None:
    from . import fit, profile, search  # noqa: F401  # they register themselves


JOB_KINDS: Final = Kinds[JobKind[Any]]("job kind", "lutra.jobs", load=_load)
"""All kinds of jobs by name."""


def self_contained_kinds() -> list[str]:
    """Names of the kinds that agents can run."""
    return [name for name in JOB_KINDS.names() if JOB_KINDS.get(name).self_contained]


def checked_request(kind: str, request: Mapping[str, Any]) -> tuple[type[JobKind[Any]], Request]:
    """The kind of that name, and what it is asked.

    Raises:
        UnknownNameError: no such kind.
        JobRequestError: the request is not what the kind takes; says which fields.
    """
    found = JOB_KINDS.get(kind)
    try:
        return found, found.request_type.model_validate(request)
    except ValidationError as error:
        problems = {
            ".".join(map(str, fault["loc"])): fault["msg"].removeprefix("Value error, ")
            for fault in error.errors(include_url=False)
        }
        raise JobRequestError(kind, problems) from None
