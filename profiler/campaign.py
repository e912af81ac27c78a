"""A campaign: measure what a plan asks for, commit each row as it is measured, survive what fails.

Kernels are measured in groups. Within a group all kernels, the runtime's constants and the whole networks are timed
against each other in random order, so that slow drift of the machine falls on all alike; when a group ends its
rows are committed, one transaction each. A campaign that was killed goes on where it stopped: rows that are there
are not measured again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

import psutil

from ..luts import Measurement, Store, Table
from ..luts.compose import RUN_CONSTANT, compose
from ..luts.host import DEFAULT_CACHE
from ..luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ..luts.residency import RESIDENT
from ..networks.errors import MeasurementError, WorkerCrashedError, WorkerTimeoutError
from ..networks.lowering import Kernel
from .client import EntrySamples, GroupResult, PreparedInfo
from .copies import ROTATED_BYTES, has_resident_row
from .environment import read_environment
from .machine import OTHERS_LIMIT, MachineState, conditions_between, worst_conditions
from .plan import Plan, Subject
from .pooling import pooled_entries, pooled_results, with_process
from .references import Nominal, with_references
from .rows import Context, failed_row, measured_row, metric_for, reference_row
from .runtimes import runtime_class
from .sequences import per_round
from .session import CONSTANT, COPIES, KERNEL, NETWORK, Session, entry_name
from .settings import Settings

_LOOK_S = 0.2  # the kernel's counters tick every 10 ms


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands.

    Attributes:
        done: kernels that need no more work (in this campaign).
        total: kernels to measure in this campaign.
        eta_s: estimated seconds to go; None before anything is known.
        current: what is being prepared or timed.
        noisy: rows marked noisy so far.
    """

    done: int
    total: int
    eta_s: float | None
    current: str
    noisy: int


@dataclass
class CampaignResult:
    """What a campaign did.

    Attributes:
        measured: rows written with a number (including noisy ones).
        skipped: kernels that had a row already.
        failed: reasons by label of what could not be measured.
        noisy: labels of rows marked noisy.
        interrupted: it was cancelled; run the same plan again to go on.
        measured_share: share of the campaign's time spent inside samples; the rest prepared and decided. Waiting
            for other programs does not count. 0 for a simulated device.
        table: all rows of the device.
    """

    measured: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    noisy: list[str] = field(default_factory=list)
    interrupted: bool = False
    measured_share: float = 0.0
    table: Table | None = None


def run_campaign(
    plan: Plan,
    store: Store,
    *,
    fresh: bool = False,
    recheck: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancel: Event | None = None,
    settings: Settings | None = None,
) -> CampaignResult:
    """Measure what ``plan`` asks for and ``store`` does not have.

    Args:
        plan: what to measure.
        store: where each row is committed as it is measured.
        fresh: measure everything again, replacing what is there.
        recheck: measure whole networks again even where the table has them.
        progress: called a few times a second.
        cancel: set it to stop: rows that are good enough are still committed.
        settings: how carefully to measure.

    Raises:
        StoreLockedError: another process is profiling the device.
        MeasurementError: the runtime cannot be started at all.
        StoreError: the store cannot be written; what was committed stands.
    """
    device = store.register_device(plan.device.fingerprint, plan.device.name)
    with store.lease(device):
        campaign = _Campaign(plan, store, settings or Settings(), progress or _ignore, cancel or Event())
        campaign.run(fresh, fresh or recheck)
        campaign.result.table = store.table(device)
    return campaign.result


def _ignore(progress: Progress) -> None:
    del progress


class _Campaign:
    def __init__(
        self,
        plan: Plan,
        store: Store,
        settings: Settings,
        progress: Callable[[Progress], None],
        cancel: Event,
    ) -> None:
        self._plan, self._store, self._settings = plan, store, settings
        self._progress, self._cancel = progress, cancel
        self._device = plan.device.fingerprint
        self._metric = metric_for(plan.device.threads)
        self._in_sequence = runtime_class(plan.device.runtime).in_sequence
        self._done = 0
        self._total = 0
        self._group_size = 0
        self._started_s = time.monotonic()
        self._patience_s = settings.patience_s
        self._sampled_s = self._waited_s = 0.0
        self._rotates = plan.device.cache == DEFAULT_CACHE and not self._in_sequence
        self._environment = read_environment().conditions() | {"cache": plan.device.cache}
        self._processes = max(settings.processes, runtime_class(plan.device.runtime).processes)
        self.result = CampaignResult()

    def run(self, fresh: bool, recheck: bool) -> None:
        kernels = self._plan.kernels
        have = set() if fresh else self._store.keys(self._device, KERNEL, statuses=("ok", "noisy"))
        resident = set() if fresh else self._store.keys(self._device, RESIDENT)
        pending = {
            key: kernel
            for key, kernel in kernels.items()
            if key not in have or (self._has_resident_row(kernel) and key not in resident)
        }
        to_check = self._networks_to_check(set(pending), recheck)
        self.result.skipped = len(kernels) - len(pending)
        self._total = len(pending)
        if pending or to_check:
            with Session(self._plan, self._settings.seed, self._settings.priority) as session:
                self._versions = session.describe() | {"lutra": _own_version()}
                if fresh or not self._store.has(self._device, CONSTANT, RUN_CONSTANT):
                    session.prepare_constants()
                for subject in self._plan.subjects:
                    mine = {key: pending.pop(key) for key in subject.lowered.distinct if key in pending}
                    self._run_subject(session, subject, mine, subject.network.fingerprint in to_check)
        self.result.interrupted = self._cancel.is_set()
        self.result.measured_share = self._sampled_s / (time.monotonic() - self._started_s - self._waited_s)

    @cached_property
    def _labels(self) -> dict[str, str]:
        """What people see of each entry, by its name."""
        kernels, subjects = self._plan.kernels, self._plan.subjects
        labels = {entry_name(kind, key): kernel.label for kind in COPIES for key, kernel in kernels.items()}
        whole = {entry_name(NETWORK, s.network.fingerprint): f"whole {s.network.name}" for s in subjects}
        return labels | whole

    def _has_resident_row(self, kernel: Kernel) -> bool:
        """Only where copies rotate: in the sequence of its own network, a kernel finds its weights where they are."""
        return self._rotates and has_resident_row(kernel)

    def _run_subject(self, session: Session, subject: Subject, kernels: dict[str, Kernel], check: bool) -> None:
        """Measure a network's kernels in groups, the whole network among each group, and commit what comes of it."""
        if check:
            self._prepare(session, NETWORK, subject.network.fingerprint, f"whole {subject.network.name}")
        groups = _groups(kernels, self._settings.group_kernels)
        if self._in_sequence:
            # Nothing may be left out between two kernels, whoever has a row already.
            groups = [kernels] if kernels else []
            session.follow([kernel.key for kernel in subject.lowered.kernels] if kernels else [])
        parts = []
        for group in groups or ([{}] if check else []):
            if not self._cancel.is_set():
                parts += self._run_group(session, group)
        if parts:
            self._record_network(subject, parts)
        session.release((NETWORK,))

    def _networks_to_check(self, pending: set[str], recheck: bool) -> set[str]:
        """Fingerprints of networks to measure whole: those with new kernels, and those never measured."""
        if not self._plan.check:
            return set()
        have = set() if recheck else self._store.keys(self._device, NETWORK, statuses=("ok", "noisy"))
        return {
            subject.network.fingerprint
            for subject in self._plan.subjects
            if subject.network.fingerprint not in have or pending.intersection(subject.lowered.distinct)
        }

    def _run_group(self, session: Session, group: dict[str, Kernel]) -> list[tuple[EntrySamples, Context]]:
        """Measure one group and commit its rows. Returns the samples of the whole network, if it was among them."""
        for key, kernel in group.items():
            if self._cancel.is_set():
                return []
            self._prepare(session, KERNEL, key, kernel.label)
            if self._has_resident_row(kernel) and entry_name(KERNEL, key) in session.prepared:
                self._prepare(session, RESIDENT, key, kernel.label)
        session.prepare_neighbours()
        self._group_size = len(group)
        self._wait_for_others(session.pid)
        measured = self._measure(session)
        if measured is None:
            return []
        result, conditions = measured
        context = self._context(conditions, self._grouped(result))
        result = context.result
        self._record_constants(session, context)
        overheads_ns = self._overheads_ns()
        networks = []
        for name, entry in result.entries.items():
            kind, _, key = name.partition(" ")
            if result.interrupted and not entry.converged:
                continue
            if kind in COPIES and key in group:
                row = measured_row(
                    (kind, key, group[key].label),
                    entry,
                    session.prepared[name],
                    overheads_ns,
                    context,
                    group[key].to_json(),
                )
                self._record(row)
                self._done += kind == KERNEL
            elif kind == NETWORK:
                networks.append((entry, context))
        session.release((*COPIES, CONSTANT))
        return networks

    def _grouped(self, result: GroupResult) -> GroupResult:
        """The result, calls that were timed in a sequence added up by rounds."""
        if not self._in_sequence:
            return result
        entries = {
            name: entry if name.startswith(NETWORK) else per_round(entry) for name, entry in result.entries.items()
        }
        return replace(result, entries=entries)

    def _context(self, conditions: dict[str, Any], result: GroupResult) -> Context:
        """What the group's rows share. The first group of a device also says what its nominal speed is."""
        context = Context(self._metric, self._settings.target_halfwidth, conditions, self._versions, result)
        references = {COMPUTE_REFERENCE: result.compute_reference, MEMORY_REFERENCE: result.memory_reference}
        times_ns = []
        for name, samples in references.items():
            row = self._store.get(self._device, CONSTANT, name)
            if row is None:
                row = reference_row(CONSTANT, name, samples, context)
                self._record(row)
            times_ns.append(row.latency_ns)
        return replace(context, nominal=Nominal(*times_ns))

    def _prepare(self, session: Session, kind: str, key: str, label: str) -> None:
        """Make something ready, or record why that is impossible."""
        self._report(f"preparing {label}")
        try:
            session.prepare(entry_name(kind, key))
        except MeasurementError as error:
            self._fail(kind, key, label, error.message)

    def _wait_for_others(self, pid: int) -> None:
        """Wait for other programs to leave the machine, as long as the campaign's patience lasts."""
        while self._device.kind == "real" and self._patience_s > 0 and not self._cancel.is_set():
            before = MachineState.now(pid)
            self._cancel.wait(_LOOK_S)
            self._waited_s += _LOOK_S
            share = conditions_between(before, MachineState.now(pid))["others_share"]
            if share <= OTHERS_LIMIT:
                return
            self._patience_s -= _LOOK_S
            self._report(f"waiting: other programs use {share:.0%} of the processor")

    def _measure(self, session: Session) -> tuple[GroupResult, dict[str, Any]] | None:
        """Time what is prepared, in as many processes as are asked for; with the machine's state meanwhile."""
        parts, conditions = [], []
        for process in range(self._processes):
            before = MachineState.now(session.pid)
            part = self._measure_once(session, process)
            if part is None:
                return None
            # A simulated device does not care how busy this machine is.
            if self._device.kind == "real":
                seen = conditions_between(before, MachineState.now(session.pid))
                conditions.append(seen | {"priority": part.priority} | self._environment)
                self._sampled_s += part.sampled_s
            parts.append(with_process(with_references(part), session.pid))
            if part.interrupted:
                break
        return pooled_results(parts), worst_conditions(conditions)

    def _measure_once(self, session: Session, process: int) -> GroupResult | None:
        """Time what is prepared. If that kills the worker, find out which entry did it and go on without."""
        fresh = process > 0
        while session.prepared:
            try:
                if fresh:
                    session.restart(session.prepared)
                    fresh = False
                options = self._settings.options(self._metric, self._processes, process)
                return session.measure(options, self._labels, self._on_progress)
            except (WorkerCrashedError, WorkerTimeoutError) as error:
                for name in session.drop_culprits():
                    kind, _, key = name.partition(" ")
                    self._fail(kind, key, self._labels.get(name, name), error.message)
        return None

    def _on_progress(self, counts: dict[str, int], current: str) -> bool:
        """Tell the caller; returns whether to go on."""
        converged = counts["converged"] / counts["entries"]
        # On a busy machine nothing converges until the rounds are used up.
        share = max(converged, counts["round"] / self._settings.max_rounds)
        self._report(current, int(converged * self._group_size), share * self._group_size)
        return not self._cancel.is_set()

    def _report(self, current: str, converged: int = 0, worked: float = 0.0) -> None:
        """Tell the caller: of the group under way, how many kernels have converged, and how much work is done."""
        worked += self._done
        elapsed_s = time.monotonic() - self._started_s
        eta_s = elapsed_s / worked * max(self._total - worked, 0.0) if worked else None
        done = min(self._done + converged, self._total)
        self._progress(Progress(done, self._total, eta_s, current, len(self.result.noisy)))

    def _record_constants(self, session: Session, context: Context) -> None:
        """Constants come in an order in which each one's base is recorded before it."""
        for overhead in session.overheads:
            name = entry_name(CONSTANT, overhead["name"])
            subject = (CONSTANT, overhead["name"], overhead["label"])
            entry, prepared = context.result.entries[name], session.prepared[name]
            spec = {"base": overhead["base"], "executions": overhead["executions"]}
            row = measured_row(subject, entry, prepared, self._overheads_ns(), context, spec)
            if row.status == "failed":  # no kernel's number would mean anything
                raise MeasurementError(f"the runtime's constant {overhead['name']!r} cannot be measured: {row.reason}")
            self._record(row)

    def _overheads_ns(self) -> dict[str, float]:
        rows = self._store.measurements(self._device, CONSTANT)
        return {row.subject_key: row.latency_ns for row in rows if row.status != "failed"}

    def _record_network(self, subject: Subject, parts: list[tuple[EntrySamples, Context]]) -> None:
        """The row of a whole network from its samples in all groups, beside what the table predicts for it."""
        network, kernels = subject.network, subject.lowered.kernels
        sums = compose(self._store.table(self._device), kernels)
        spec = {
            "name": network.name,
            "macs": network.macs,
            "bytes_moved": network.bytes_moved,
            "params": network.params,
            "kernels": [kernel.key for kernel in kernels],
            # Nothing is predicted where a kernel failed, or the campaign was interrupted.
            "predicted_ns": None if sums.missing else sums.total_ns,
        }
        name = (NETWORK, network.fingerprint, network.name)
        entry, context = pooled_entries([part for part, _ in parts]), parts[-1][1]
        self._record(measured_row(name, entry, PreparedInfo(1, {}), {}, context, spec))

    def _record(self, row: Measurement) -> None:
        """Commit a row. It replaces any earlier one, because nothing that has a good row is measured again unasked."""
        self._store.record(self._device, row, replace=True)
        if row.status == "failed":
            self.result.failed[row.label] = row.reason
        elif row.subject_kind == KERNEL:
            self.result.measured += 1
            if row.status == "noisy":
                self.result.noisy.append(row.label)

    def _fail(self, kind: str, key: str, label: str, reason: str) -> None:
        spec = self._plan.kernels[key].to_json() if kind in COPIES else {"name": label}
        self._record(failed_row(kind, key, label, reason, spec))
        self._done += kind == KERNEL


def _groups(pending: dict[str, Kernel], most: int) -> list[dict[str, Kernel]]:
    """Kernels in order, cut where a group would grow too large for memory or too long to interleave."""
    budget = min(2 << 30, psutil.virtual_memory().available // 3)
    groups: list[dict[str, Kernel]] = []
    used = budget + 1
    for key, kernel in pending.items():
        need = min(max(ROTATED_BYTES, 4 * kernel.weight_bytes), 64 * kernel.weight_bytes) + kernel.bytes_moved
        if used + need > budget or len(groups[-1]) >= most:
            groups.append({})
            used = 0
        groups[-1][key] = kernel
        used += need
    return groups


def _own_version() -> str:
    try:
        return version("lutra")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"
