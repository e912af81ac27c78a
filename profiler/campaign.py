"""A campaign: measure what a plan asks for, commit each row as it is measured, survive what fails.

Kernels are measured in groups. Within a group all kernels, the runtime's constants and the whole networks are timed
against each other in random order, so that slow drift of the machine falls on all alike; when a group ends its
rows are committed, one transaction each. A campaign that was killed goes on where it stopped: rows that are there
are not measured again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

import numpy as np
import psutil

from ..luts import Measurement, Store, Table
from ..luts.compose import RUN_CONSTANT, compose
from ..luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ..luts.residency import RESIDENT
from ..networks.errors import MeasurementError, WorkerCrashedError, WorkerTimeoutError
from ..networks.lowering import Kernel
from .client import EntrySamples, GroupResult, PreparedInfo, Samples
from .copies import ROTATED_BYTES, has_resident_row
from .machine import MachineState, conditions_between
from .plan import Plan, Subject
from .references import Nominal, with_references
from .rows import Context, failed_row, measured_row, metric_for, reference_row
from .session import CONSTANT, COPIES, KERNEL, NETWORK, Session, entry_name


@dataclass(frozen=True)
class Settings:
    """How carefully to measure.

    Attributes:
        min_rounds: rounds that every entry gets.
        max_rounds: rounds after which an entry is given up as noisy.
        samples_per_visit: samples of an entry each time its turn comes.
        target_halfwidth: relative half-width of the 95 % interval of p25 at which an entry is done.
        group_budget_s: longest measurement of one group, once every entry has had `min_rounds`.
        group_kernels: most kernels in one group.
        seed: of weights, inputs and the order of entries.
    """

    min_rounds: int = 10
    max_rounds: int = 60
    samples_per_visit: int = 4
    target_halfwidth: float = 0.02
    group_budget_s: float = 120.0
    group_kernels: int = 48
    seed: int = 0

    def options(self, metric: str) -> dict[str, float | int | str]:
        """As the timing core takes them."""
        return {
            "min_rounds": self.min_rounds,
            "max_rounds": self.max_rounds,
            "samples_per_visit": self.samples_per_visit,
            "target_halfwidth": self.target_halfwidth,
            "time_budget_s": self.group_budget_s,
            "metric": metric,
            "seed": self.seed,
        }


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
        table: all rows of the device.
    """

    measured: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    noisy: list[str] = field(default_factory=list)
    interrupted: bool = False
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
        self._done = 0
        self._total = 0
        self._group_size = 0
        self._started_s = time.monotonic()
        self.result = CampaignResult()

    def run(self, fresh: bool, recheck: bool) -> None:
        kernels = self._plan.kernels
        have = set() if fresh else self._store.keys(self._device, KERNEL, statuses=("ok", "noisy"))
        resident = set() if fresh else self._store.keys(self._device, RESIDENT)
        pending = {
            key: kernel
            for key, kernel in kernels.items()
            if key not in have or (has_resident_row(kernel) and key not in resident)
        }
        to_check = self._networks_to_check(set(pending), recheck)
        self.result.skipped = len(kernels) - len(pending)
        self._total = len(pending)
        if pending or to_check:
            with Session(self._plan, self._settings.seed) as session:
                self._versions = session.describe() | {"lutra": _own_version()}
                if fresh or not self._store.has(self._device, CONSTANT, RUN_CONSTANT):
                    session.prepare_constants()
                for subject in self._plan.subjects:
                    mine = {key: pending.pop(key) for key in subject.lowered.distinct if key in pending}
                    self._run_subject(session, subject, mine, subject.network.fingerprint in to_check)
        self.result.interrupted = self._cancel.is_set()

    def _run_subject(self, session: Session, subject: Subject, kernels: dict[str, Kernel], check: bool) -> None:
        """Measure a network's kernels in groups, the whole network among each group, and commit what comes of it."""
        if check:
            self._prepare(session, NETWORK, subject.network.fingerprint, f"whole {subject.network.name}")
        parts = []
        for group in _groups(kernels, self._settings.group_kernels) or ([{}] if check else []):
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
            if has_resident_row(kernel) and entry_name(KERNEL, key) in session.prepared:
                self._prepare(session, RESIDENT, key, kernel.label)
        self._group_size = len(group)
        labels = {entry_name(kind, key): kernel.label for kind in COPIES for key, kernel in group.items()}
        for subject in self._plan.subjects:
            labels[entry_name(NETWORK, subject.network.fingerprint)] = f"whole {subject.network.name}"
        before = MachineState.now(session.pid)
        result = self._measure(session, labels)
        if result is None:
            return []
        # A simulated device does not care how busy this machine is.
        real = self._device.kind == "real"
        conditions = conditions_between(before, MachineState.now(session.pid)) if real else {}
        context = self._context(conditions, with_references(result))
        result = context.result
        self._record_constants(session, context)
        overheads_ns = self._overheads_ns()
        networks = []
        for name, entry in result.entries.items():
            kind, _, key = name.partition(" ")
            if result.interrupted and not entry.converged:
                continue
            if kind in COPIES:
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

    def _measure(self, session: Session, labels: dict[str, str]) -> GroupResult | None:
        """Time what is prepared. If that kills the worker, find out which entry did it and go on without."""
        while session.prepared:
            try:
                return session.measure(self._settings.options(self._metric), labels, self._on_progress)
            except (WorkerCrashedError, WorkerTimeoutError) as error:
                for name in session.drop_culprits():
                    kind, _, key = name.partition(" ")
                    self._fail(kind, key, labels.get(name, name), error.message)
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
        entry, context = _joined([part for part, _ in parts]), parts[-1][1]
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


def _joined(parts: list[EntrySamples]) -> EntrySamples:
    """Samples of one network from several groups, rounds counted on."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in parts[0].samples.columns}
    offset = 0
    for part in parts:
        for name, values in part.samples.columns.items():
            per_run = values // part.samples.batch if name in ("wall_ns", "cpu_ns") else values
            columns[name].append(per_run + offset if name == "round" else per_run)
        offset = int(columns["round"][-1].max()) + 1
    joined = Samples(1, {name: np.concatenate(values) for name, values in columns.items()})
    errors = [part.error for part in parts if part.error]
    return EntrySamples(
        joined,
        all(part.converged for part in parts),
        errors[0] if errors else None,
        all(part.finite for part in parts),
    )


def _own_version() -> str:
    try:
        return version("lutra")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"
