"""``/v1/devices``: what there are tables of, and who is measuring on it."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from ....luts import DeviceSummary, Fingerprint
from ..access import Principal, requires
from ..leases import LONGEST_S
from ..paging import PagingOption
from ..presence import Sign
from ..schemas import NAME_PATTERN, Answer, Form, Name, Page, problems
from ..service import Service

router = APIRouter(prefix="/v1/devices", tags=["devices"])

DevicePath = Annotated[
    str,
    InPath(
        description="A device's name, or the first six or more digits of its digest",
        max_length=200,
        pattern=NAME_PATTERN,
    ),
]
Reading = Annotated[Principal, Depends(requires("read"))]
Profiling = Annotated[Principal, Depends(requires("profile"))]


class DeviceOut(Answer):
    """A device that the store knows."""

    digest: str = Field(description="SHA-256 of its fingerprint")
    name: str
    kind: str = Field(description="real, simulated, null or imported")
    runtime: str
    threads: int
    precision: str
    created_at: str = Field(description="ISO 8601 in UTC")
    used_at: str = Field(description="ISO 8601 in UTC")
    seen_at: str | None = Field(description="When its agent was last heard of; null for never")
    agent: str | None = Field(description="What its agent is called; null where there is none, or none that says")
    counts: dict[str, int] = Field(description="Rows by kind: kernel, network, constant, ...")


class FingerprintDocument(BaseModel):
    """What a device is, as `Fingerprint.to_dict` writes it."""

    kind: str
    hardware: dict[str, Any] = Field(default_factory=dict)
    runtime: dict[str, Any]
    settings: dict[str, Any]
    code: dict[str, Any] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)


class DeviceIn(Form):
    """A device to make known."""

    name: Name
    fingerprint: FingerprintDocument


class HeartbeatIn(Form):
    """A sign of life of a device's agent."""

    agent: Name | None = Field(None, description="What sends it, such as a host's name")
    state: dict[str, Any] = Field(default_factory=dict, max_length=50, description="Whatever should be shown of it")


class HeartbeatOut(Answer):
    """What is known of a device's agent."""

    digest: str
    seen_at: str = Field(description="ISO 8601 in UTC")
    agent: str | None
    state: dict[str, Any]


class LeaseIn(Form):
    """A wish to measure on a device."""

    seconds: float = Field(60.0, ge=1, le=LONGEST_S, description="It ends after so much silence")


class LeaseOut(Answer):
    """The right to measure on a device."""

    id: str = Field(description="Renews the lease and gives it back; keep it to yourself")
    device: str = Field(description="Digest of the device")
    seconds: float


async def service_of(request: Request) -> Service:
    """The server that answers."""
    found: Service = request.app.state.service
    return found


Server = Annotated[Service, Depends(service_of)]


def described(summary: DeviceSummary, sign: Sign | None) -> dict[str, Any]:
    """A device as `DeviceOut` shows it."""
    record, fingerprint = summary.device, summary.device.fingerprint
    return {
        "digest": record.digest,
        "name": record.name,
        "kind": fingerprint.kind,
        "runtime": fingerprint.runtime_name,
        "threads": fingerprint.threads,
        "precision": fingerprint.precision,
        "created_at": record.created_at,
        "used_at": record.used_at,
        "seen_at": sign and sign.seen_at,
        "agent": sign and sign.agent,
        "counts": summary.counts,
    }


@router.get("", response_model=Page[DeviceOut], responses=problems())
async def list_devices(server: Server, paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the devices, the one used last first."""
    return paging.page(await server.read(_all_described, server))


def _all_described(server: Service) -> list[dict[str, Any]]:
    seen = server.presence.last_seen()
    return [described(summary, seen.get(summary.device.digest)) for summary in server.summaries()]


@router.post("", status_code=201, response_model=DeviceOut, responses=problems(409))
async def register_device(
    server: Server, _: Profiling, body: DeviceIn, request: Request, response: Response
) -> dict[str, Any]:
    """Make a device known under a name, or known under another one."""
    fingerprint = await server.read(Fingerprint.from_dict, body.fingerprint.model_dump())
    record = await server.read(server.store.register_device, fingerprint, body.name)
    server.notice()
    response.headers["Location"] = f"{request.url.path}/{record.digest}"
    return await server.read(_one_described, server, record.digest)


def _one_described(server: Service, device: str) -> dict[str, Any]:
    record = server.store.device(device)
    found = next(
        (s for s in server.summaries() if s.device.digest == record.digest), DeviceSummary(device=record, counts={})
    )
    return described(found, server.presence.last_seen().get(record.digest))


@router.get("/{device}", response_model=DeviceOut, responses=problems(404))
async def get_device(server: Server, _: Reading, device: DevicePath) -> dict[str, Any]:
    """Show one device."""
    return await server.read(_one_described, server, device)


@router.get("/{device}/fingerprint", response_model=FingerprintDocument, responses=problems(404))
async def get_fingerprint(server: Server, _: Reading, device: DevicePath) -> dict[str, Any]:
    """Show what a device is: hardware, runtime, settings, and the code that measured."""
    record = await server.read(server.store.device, device)
    return record.fingerprint.to_dict()


@router.post("/{device}/heartbeat", response_model=HeartbeatOut, responses=problems(404))
async def send_heartbeat(server: Server, _: Profiling, device: DevicePath, body: HeartbeatIn) -> dict[str, Any]:
    """Say that a device's agent lives."""
    record = await server.read(server.store.device, device)
    return await server.read(server.presence.note, record.digest, body.agent, body.state)


@router.post("/{device}/lease", status_code=201, response_model=LeaseOut, responses=problems(404, 409))
async def take_lease(server: Server, _: Profiling, device: DevicePath, body: LeaseIn) -> dict[str, Any]:
    """Take the right to measure on a device; 409 while another process has it."""
    record = await server.read(server.store.device, device)
    return asdict(await server.read(server.leases.take, record, body.seconds))


@router.put("/{device}/lease/{lease}", response_model=LeaseOut, responses=problems(404, 412))
async def renew_lease(server: Server, _: Profiling, device: DevicePath, lease: str) -> dict[str, Any]:
    """Prolong a lease; 412 when it has ended."""
    await server.read(server.store.device, device)
    return asdict(await server.read(server.leases.renew, lease))


@router.delete("/{device}/lease/{lease}", status_code=204, responses=problems(404))
async def release_lease(server: Server, _: Profiling, device: DevicePath, lease: str) -> None:
    """Give a device back; no error if the lease has ended already."""
    await server.read(server.store.device, device)
    await server.read(server.leases.release, lease)
