"""A campaign: measure what a plan asks for, commit each row as it is measured, survive what fails.

Kernels are measured in groups. Within a group all kernels, the runtime's constants and the whole networks are timed
against each other in random order, so that slow drift of the machine falls on all alike; when a group ends its
rows are committed, one transaction each. A campaign that was killed goes on where it stopped: rows that are there
are not measured again.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

from ..luts import Measurement, Store, Table
from ..luts.compose import RUN_CONSTANT
from ..luts.host import DEFAULT_CACHE
from ..luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ..luts.residency import RESIDENT
from ..networks.errors import MeasurementError
from ..networks.lowering import Kernel
from .client import EntrySamples, GroupResult, PreparedInfo
from .copies import has_resident_row
from .groups import GroupTimer, groups
from .plan import Plan, Subject
from .pooling import pooled_entries
from .progress import Announcer, Progress
from .recording import Recorder
from .references import Nominal
from .rows import Context, failed_row, measured_row, metric_for, reference_row
from .runtimes import runtime_class
from .sequences import per_round
from .session import CONSTANT, COPIES, KERNEL, NETWORK, Session, entry_name
from .settings import Settings
from .waiting import Patience


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
    settings, cancel = settings or Settings(), cancel or Event()
    device = store.register_device(plan.device.fingerprint, plan.device.name)
    announcer = Announcer(progress, settings.max_rounds)
    with store.lease(device) as lease:
        recorder = Recorder(store, device, lease, announcer.row)
        return _Campaign(plan, recorder, announcer, settings, cancel).run(fresh, fresh or recheck)


class _Campaign:
    def __init__(self, plan: Plan, recorder: Recorder, announcer: Announcer, settings: Settings, cancel: Event) -> None:
        self._plan, self._recorder, self._announcer = plan, recorder, announcer
        self._settings, self._cancel = settings, cancel
        self._metric = metric_for(plan.device.threads)
        self._in_sequence = runtime_class(plan.device.runtime).in_sequence
        self._rotates = plan.device.cache == DEFAULT_CACHE and not self._in_sequence
        self._started_s = time.monotonic()
        self._patience = Patience(plan.device, settings.patience_s, cancel, announcer.waiting)
        self._timer = GroupTimer(plan.device, settings, self._labels, self._fail)
        self._failed: dict[str, str] = {}

    def run(self, fresh: bool, recheck: bool) -> CampaignResult:
        pending = self._pending(fresh)
        to_check = self._networks_to_check(set(pending), recheck)
        self._announcer.total = len(pending)
        if pending or to_check:
            with Session(self._plan, self._settings.seed, self._settings.priority) as session:
                self._versions = session.describe() | {"lutra": _own_version()}
                if fresh or RUN_CONSTANT not in self._recorder.keys(CONSTANT):
                    session.prepare_constants()
                self._measure_all(session, dict(pending), to_check)
        return self._result(pending)

    def _measure_all(self, session: Session, pending: dict[str, Kernel], to_check: set[str]) -> None:
        """The networks with their kernels, then the kernels that are wanted for themselves."""
        for subject in self._plan.subjects:
            mine = {key: pending.pop(key) for key in subject.lowered.distinct if key in pending}
            self._run_subject(session, subject, mine, subject.network.fingerprint in to_check)
        for group in groups(pending, self._settings.group_kernels):
            if not self._cancel.is_set():
                if self._in_sequence:
                    session.follow(group)
                self._run_group(session, group)

    def _result(self, pending: dict[str, Kernel]) -> CampaignResult:
        rows = [row for key in pending if (row := self._recorder.get(KERNEL, key)) and key in self._announcer.done]
        elapsed_s = time.monotonic() - self._started_s - self._patience.waited_s
        return CampaignResult(
            measured=sum(row.status != "failed" for row in rows),
            skipped=len(self._plan.kernels) - len(pending),
            failed=self._failed,
            noisy=[row.label for row in rows if row.status == "noisy"],
            interrupted=self._cancel.is_set(),
            measured_share=self._timer.sampled_s / elapsed_s,
            table=self._recorder.table,
        )

    def _pending(self, fresh: bool) -> dict[str, Kernel]:
        """Kernels without a number, or without that of the case where their weights are in the last cache."""
        have = set() if fresh else self._recorder.keys(KERNEL, ("ok", "noisy"))
        resident = set() if fresh else self._recorder.keys(RESIDENT)
        return {
            key: kernel
            for key, kernel in self._plan.kernels.items()
            if key not in have or (self._has_resident_row(kernel) and key not in resident)
        }

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
            self._prepare(session, entry_name(NETWORK, subject.network.fingerprint))
        cut = groups(kernels, self._settings.group_kernels)
        if self._in_sequence:
            # Nothing may be left out between two kernels, whoever has a row already.
            cut = [kernels] if kernels else []
            session.follow([kernel.key for kernel in subject.lowered.kernels] if kernels else [])
        parts = []
        for group in cut or ([{}] if check else []):
            if not self._cancel.is_set():
                parts += self._run_group(session, group)
        if parts:
            self._record_network(subject, parts)
        session.release((NETWORK,))

    def _networks_to_check(self, pending: set[str], recheck: bool) -> set[str]:
        """Fingerprints of networks to measure whole: those with new kernels, and those never measured."""
        if not self._plan.check:
            return set()
        have = set() if recheck else self._recorder.keys(NETWORK, ("ok", "noisy"))
        return {
            subject.network.fingerprint
            for subject in self._plan.subjects
            if subject.network.fingerprint not in have or pending.intersection(subject.lowered.distinct)
        }

    def _run_group(self, session: Session, group: dict[str, Kernel]) -> list[tuple[EntrySamples, Context]]:
        """Measure one group and commit its rows. Returns the samples of the whole network, if it was among them."""
        self._prepare_group(session, group)
        if self._cancel.is_set():
            return []
        self._announcer.group(len(group))
        self._patience.wait(session.pid)
        timed = self._timer.time(session, math.inf, self._on_progress)
        if timed is None:
            return []
        result, conditions = timed
        context = self._context(conditions, self._grouped(result))
        self._record_constants(session, context)
        networks = self._record_entries(session, group, context)
        session.release((*COPIES, CONSTANT))
        return networks

    def _prepare_group(self, session: Session, group: dict[str, Kernel]) -> None:
        for key, kernel in group.items():
            if self._cancel.is_set():
                return
            self._prepare(session, entry_name(KERNEL, key))
            if self._has_resident_row(kernel) and entry_name(KERNEL, key) in session.prepared:
                self._prepare(session, entry_name(RESIDENT, key))
        session.prepare_neighbours()

    def _record_entries(
        self, session: Session, group: dict[str, Kernel], context: Context
    ) -> list[tuple[EntrySamples, Context]]:
        """Commit the rows of a group's kernels; returns the samples of the whole network, if it was among them."""
        overheads_ns = self._recorder.overheads_ns
        networks = []
        for name, entry in context.result.entries.items():
            kind, _, key = name.partition(" ")
            if context.result.interrupted and not entry.converged:
                continue
            if kind in COPIES and key in group:
                subject, spec = (kind, key, group[key].label), group[key].to_json()
                row = measured_row(subject, entry, session.prepared[name], overheads_ns, context, spec)
                self._record(row)
            elif kind == NETWORK:
                networks.append((entry, context))
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
            row = self._recorder.get(CONSTANT, name)
            if row is None:
                row = reference_row(CONSTANT, name, samples, context)
                self._record(row)
            times_ns.append(row.latency_ns)
        return replace(context, nominal=Nominal(*times_ns))

    def _prepare(self, session: Session, name: str) -> None:
        """Make something ready, or record why that is impossible."""
        self._announcer.preparing(self._labels[name])
        try:
            session.prepare(name)
        except MeasurementError as error:
            self._fail(name, error.message)

    def _on_progress(self, counts: dict[str, int], current: str) -> bool:
        """Tell the caller; returns whether to go on."""
        self._announcer.timing(counts, current)
        return not self._cancel.is_set()

    def _record_constants(self, session: Session, context: Context) -> None:
        """Constants come in an order in which each one's base is recorded before it."""
        for overhead in session.overheads:
            name = entry_name(CONSTANT, overhead["name"])
            subject = (CONSTANT, overhead["name"], overhead["label"])
            entry, prepared = context.result.entries[name], session.prepared[name]
            spec = {"base": overhead["base"], "executions": overhead["executions"]}
            row = measured_row(subject, entry, prepared, self._recorder.overheads_ns, context, spec)
            if row.status == "failed":  # no kernel's number would mean anything
                raise MeasurementError(f"the runtime's constant {overhead['name']!r} cannot be measured: {row.reason}")
            self._record(row)

    def _record_network(self, subject: Subject, parts: list[tuple[EntrySamples, Context]]) -> None:
        """The row of a whole network from its samples in all groups, beside what the table predicts for it."""
        network, kernels = subject.network, subject.lowered.kernels
        spec = {
            "name": network.name,
            "macs": network.macs,
            "bytes_moved": network.bytes_moved,
            "params": network.params,
            "kernels": [kernel.key for kernel in kernels],
            "predicted_ns": self._recorder.predicted_ns(kernels),
        }
        name = (NETWORK, network.fingerprint, network.name)
        entry, context = pooled_entries([part for part, _ in parts]), parts[-1][1]
        self._record(measured_row(name, entry, PreparedInfo(1, {}), {}, context, spec))

    def _record(self, row: Measurement) -> None:
        if row.status == "failed":
            self._failed[row.label] = row.reason
        self._recorder.record(row)

    def _fail(self, name: str, reason: str) -> None:
        """Record that an entry cannot be measured."""
        kind, _, key = name.partition(" ")
        label = self._labels.get(name, name)
        spec = self._plan.kernels[key].to_json() if kind in COPIES else {"name": label}
        self._record(failed_row(kind, key, label, reason, spec))


def _own_version() -> str:
    try:
        return version("lutra")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"
