"""A campaign: measure what a plan asks for, commit each row as it is measured, survive what fails.

Kernels are measured in groups. Within a group all kernels, the runtime's constants and the whole networks are timed
against each other in random order, so that slow drift of the machine falls on all alike; when a group ends its
rows are committed together. A campaign that was killed goes on where it stopped: rows that are there
are not measured again.

First come the plan's networks with their kernels, then the kernels wanted for themselves: all in the plan's order,
or, with a budget or a target, those that interpolation knows least about. Noisy kernels get a second chance at the end.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

from ..luts import Measurement, Store
from ..luts.compose import RUN_CONSTANT
from ..luts.host import DEFAULT_CACHE
from ..luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ..luts.residency import RESIDENT
from ..networks.errors import MeasurementError
from ..networks.lowering import Kernel
from .budget import Budget
from .choosing import Chooser, require_share
from .client import EntrySamples, GroupResult, PreparedInfo
from .continuity import Watch, require_same_machine
from .copies import has_resident_row
from .events import CampaignEvent, GroupEnded, Requeued
from .groups import GroupTimer, groups
from .outcome import CampaignResult
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
from .simulation import run_simulation
from .waiting import Patience, leased

_LEAST_GROUP_S = 1.0  # of timing, however little is left of a budget


def run_campaign(
    plan: Plan,
    store: Store,
    *,
    fresh: bool = False,
    recheck: bool = False,
    new_table: bool = False,
    wait_s: float = 0.0,
    budget_s: float | None = None,
    target_error: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    events: Callable[[CampaignEvent], None] | None = None,
    cancel: Event | None = None,
    settings: Settings | None = None,
) -> CampaignResult:
    """Measure what ``plan`` asks for and ``store`` does not have; a simulated device is simulated (`run_simulation`).

    Args:
        plan: what to measure.
        store: where each row is committed as it is measured.
        fresh: measure everything again, replacing what is there.
        recheck: measure whole networks again even where the table has them.
        new_table: begin a new table where the device has changed since its last one, which is kept.
        wait_s: how long to wait for another process that is profiling the device.
        budget_s: how long to measure; what there is no time for is left to interpolation.
        target_error: median relative error of interpolation at which no more of ``plan.extra`` is measured.
        progress: called a few times a second.
        events: called for each event; for a row, once it is committed.
        cancel: set it to stop: rows that are good enough are still committed.
        settings: how carefully to measure.

    Raises:
        FingerprintMismatchError: the device has changed since its last table, or changed while it was measured.
        StoreLockedError: another process is profiling the device.
        UsageError: a budget or target that makes no sense.
        MeasurementError: the runtime cannot be started at all.
        StoreError: the store cannot be written; what was committed stands.
    """
    if plan.device.simulator is not None:
        return run_simulation(
            plan,
            store,
            fresh=fresh,
            wait_s=wait_s,
            budget_s=budget_s,
            target_error=target_error,
            progress=progress,
            events=events,
            cancel=cancel,
        )
    settings, cancel = settings or Settings(), cancel or Event()
    require_share(target_error)
    budget = Budget(budget_s, plan.kernel_s())
    announcer = Announcer(progress, events, budget, settings.max_rounds)
    if not new_table:
        require_same_machine(store, plan.device)
    device = store.register_device(plan.device.fingerprint, plan.device.name)
    with leased(store, device, wait_s, cancel, partial(announcer.waiting, "device")) as lease:
        if lease is None:
            return CampaignResult(interrupted=True, table=store.table(device))
        budget.begin()
        recorder = Recorder(store, device, lease, announcer.row)
        campaign = _Campaign(plan, recorder, announcer, budget, settings, cancel)
        if budget_s is not None or target_error is not None:
            campaign.choose_extra(target_error, fresh)
        return campaign.run(fresh, fresh or recheck)


class _Campaign:
    def __init__(
        self, plan: Plan, recorder: Recorder, announcer: Announcer, budget: Budget, settings: Settings, cancel: Event
    ) -> None:
        self._plan, self._recorder, self._announcer, self._budget = plan, recorder, announcer, budget
        self._settings, self._cancel = settings, cancel
        self._metric = metric_for(plan.device.threads)
        self._in_sequence = runtime_class(plan.device.runtime).in_sequence
        self._rotation = runtime_class(plan.device.runtime).rotation
        self._rotates = plan.device.cache == DEFAULT_CACHE and not self._in_sequence
        self._started_s = time.monotonic()
        self._patience = Patience(plan.device, settings.patience_s, cancel, partial(announcer.waiting, "others"))
        self._timer = GroupTimer(plan.device, settings, self._labels, self._fail)
        self._watch = Watch(plan.device)
        self._chooser: Chooser | None = None
        self._failed: dict[str, str] = {}
        self._again: dict[str, Kernel] = {}
        self._requeued: set[str] = set()

    def choose_extra(self, target_error: float | None, fresh: bool) -> None:
        """Measure no more of the extra kernels than interpolation needs, or the budget has time for."""
        pending, done = self._pending(fresh), self._announcer.done
        self._chooser = Chooser(self._plan, pending, done, self._recorder, target_error, self._settings.seed)

    def run(self, fresh: bool, recheck: bool) -> CampaignResult:
        pending = self._pending(fresh)
        to_check = self._networks_to_check(set(pending), recheck)
        self._announcer.start(self._plan, len(pending), len(to_check))
        if to_check or (pending and not self._suffices(pending)):
            with Session(self._plan, self._settings.seed, self._settings.priority) as session:
                self._versions = session.describe() | {"lutra": _own_version()}
                if fresh or RUN_CONSTANT not in self._recorder.keys(CONSTANT):
                    session.prepare_constants()
                self._measure_all(session, dict(pending), to_check)
                self._measure_noisy_again(session)
        result = self._result(pending)
        self._announcer.finish(result)
        return result

    def _suffices(self, pending: dict[str, Kernel]) -> bool:
        """Whether an earlier campaign has reached the target already, and with all of its networks."""
        wanted = any(key in pending for subject in self._plan.subjects for key in subject.lowered.distinct)
        return not wanted and self._chooser is not None and self._chooser.done

    def _measure_all(self, session: Session, pending: dict[str, Kernel], to_check: set[str]) -> None:
        """The networks with their kernels, then the kernels that are wanted for themselves."""
        for subject in self._plan.subjects:
            mine = {key: pending.pop(key) for key in subject.lowered.distinct if key in pending}
            self._run_subject(session, subject, mine, subject.network.fingerprint in to_check)
        session.follow(())
        for chosen in [pending] if self._chooser is None else self._chooser.choose(self._affordable):
            self._run_extra(session, chosen)

    def _run_extra(self, session: Session, kernels: dict[str, Kernel]) -> None:
        for group in self._cut(kernels):
            if self._in_sequence:
                session.follow(group)
            self._run_group(session, group)

    def _affordable(self) -> int:
        """How many kernels the next group may have; 0 when the campaign is to end."""
        noisy = len(self._announcer.noisy) if not self._again else 0
        return 0 if self._cancel.is_set() else self._budget.affordable(self._settings.group_kernels, noisy=noisy)

    def _cut(self, kernels: dict[str, Kernel]) -> Iterator[dict[str, Kernel]]:
        """Kernels in groups, in order, for as long as there is time."""
        left = dict(kernels)
        while left and (most := self._affordable()):
            group = groups(left, most, self._rotation)[0]
            left = {key: kernel for key, kernel in left.items() if key not in group}
            yield group

    def _measure_noisy_again(self, session: Session) -> None:
        """Give kernels whose rows of this campaign are noisy a second chance. Of two rows the better one is kept."""
        noisy = self._announcer.done & (
            self._recorder.keys(KERNEL, ("noisy",)) | self._recorder.keys(RESIDENT, ("noisy",))
        )
        if not noisy or not self._affordable():
            return
        self._again = {key: kernel for key, kernel in self._plan.kernels.items() if key in noisy}
        labels = tuple(kernel.label for kernel in self._again.values())
        self._announcer.event(Requeued(labels=labels))
        rest = dict(self._again)
        if self._in_sequence:
            for subject in self._plan.subjects:
                mine = {key: rest.pop(key) for key in subject.lowered.distinct if key in rest}
                self._run_subject(session, subject, mine, False)
        self._run_extra(session, rest)
        for subject in self._plan.subjects:
            if not self._again.keys().isdisjoint(subject.lowered.distinct):
                self._recorder.predict_again(subject.network.fingerprint, subject.lowered.kernels)

    def _result(self, pending: dict[str, Kernel]) -> CampaignResult:
        rows = [row for key in pending if (row := self._recorder.get(KERNEL, key)) and key in self._announcer.done]
        elapsed_s = time.monotonic() - self._started_s - self._patience.waited_s
        known = self._recorder.keys(KERNEL)
        return CampaignResult(
            measured=sum(row.status != "failed" for row in rows),
            skipped=len(self._plan.kernels) - len(pending),
            failed=self._failed,
            noisy=[row.label for row in rows if row.status == "noisy"],
            requeued=len(self._requeued),
            interpolated=sum(key not in known for key in self._plan.kernels) if self._chooser else 0,
            held_out_error=self._chooser.held_out_error if self._chooser else None,
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
        return self._rotates and has_resident_row(kernel, self._rotation)

    def _run_subject(self, session: Session, subject: Subject, kernels: dict[str, Kernel], check: bool) -> None:
        """Measure a network's kernels in groups, the whole network among each group, and commit what comes of it."""
        if not self._affordable():
            return
        if check:
            self._prepare(session, entry_name(NETWORK, subject.network.fingerprint))
        if self._in_sequence:
            session.follow([kernel.key for kernel in subject.lowered.kernels] if kernels else [])
        # In a sequence nothing may be left out between two kernels, whoever has a row already.
        cut = [kernels] if self._in_sequence else self._cut(kernels)
        parts = []
        for group in cut if kernels else [{}] * check:
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
        started_s = time.monotonic()
        self._prepare_group(session, group)
        if self._cancel.is_set():
            return []
        self._announcer.group(len(group))
        self._patience.wait(session.pid)
        timed = self._timer.time(session, max(self._budget.remaining_s, _LEAST_GROUP_S), self._on_progress)
        if timed is None:
            return []
        self._watch.require_unchanged()
        result, conditions = timed
        with self._recorder.together():
            context = self._context(conditions, self._grouped(result))
            self._record_constants(session, context)
            networks = self._record_entries(session, group, context)
        session.release((*COPIES, CONSTANT))
        self._end_group(group, time.monotonic() - started_s)
        return networks

    def _end_group(self, group: dict[str, Kernel], seconds: float) -> None:
        self._budget.spent(len(group), seconds)
        error = self._chooser.held_out_error if self._chooser else None
        self._announcer.event(GroupEnded(kernels=len(group), seconds=round(seconds, 3), held_out_error=error))

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
            kind, key = _split(name)
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
        self._announcer.preparing(*_split(name), self._labels[name])
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
        if row.subject_key in self._again:
            self._requeued.add(row.subject_key)
            self._recorder.record_better(row)
            return
        if row.status == "failed":
            self._failed[row.label] = row.reason
        self._recorder.record(row)

    def _fail(self, name: str, reason: str) -> None:
        """Record that an entry cannot be measured."""
        kind, key = _split(name)
        label = self._labels.get(name, name)
        spec = self._plan.kernels[key].to_json() if kind in COPIES else {"name": label}
        self._record(failed_row(kind, key, label, reason, spec))


def _split(name: str) -> tuple[str, str]:
    """Kind and key of an entry's name."""
    kind, _, key = name.partition(" ")
    return kind, key


def _own_version() -> str:
    try:
        return version("lutra")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"
