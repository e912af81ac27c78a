"""What ``lutra profile`` is asked to measure: networks, search spaces, or both; and the telling of it."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import subject_of
from .spaces import random_networks

if TYPE_CHECKING:
    from ..luts import Store
    from ..nas.spaces import SearchSpace
    from ..networks import Network
    from ..profiler import Device, Plan

# Channels, sizes and shapes in a kernel's label; not a window ("3x3/2"), nor how often something is in it ("2 x Conv").
_SHAPES = re.compile(r" (?:\d+(?:->\d+)?(?= |$)(?! x )|\d+(?:x\d+){2,}|@\S+)")
_LOOKED_AT = 20  # random networks of a space that is no chain: is the plan enough for them?


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a plan comes to before anything is measured.

    Attributes:
        device: what would be profiled.
        spaces: search spaces, as name and number of networks.
        covered: share of random networks all of whose kernels are in the plan, for spaces that are no chain.
        uses: kernels of all networks and blocks, equal ones counted each time.
        kernels: labels of the distinct ones by key, in the order of measuring.
        known: keys of those that the table has already.
        lacking: what the runtime lacks to run a kernel, by the keys of those that cannot be measured.
        estimate_s: rough duration of measuring the others.
    """

    device: str
    spaces: dict[str, int]
    covered: dict[str, float]
    uses: int
    kernels: dict[str, str]
    known: frozenset[str]
    lacking: dict[str, tuple[str, ...]]
    estimate_s: float

    @property
    def pending(self) -> list[str]:
        """Labels of what would be measured."""
        left_out = self.known | self.lacking.keys()
        return [label for key, label in self.kernels.items() if key not in left_out]

    @property
    def kinds(self) -> list[tuple[str, int, int]]:
        """Kind, kernels, and how many of them would be measured, the most frequent first."""
        pending = Counter(map(_kind, self.pending))
        return [(kind, n, pending[kind]) for kind, n in Counter(map(_kind, self.kernels.values())).most_common()]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "device": self.device,
            "spaces": self.spaces,
            "covered": self.covered,
            "uses": self.uses,
            "kernels": len(self.kernels),
            "known": len(self.known),
            "pending": self.pending,
            "lacking": [{"kernel": self.kernels[key], "lacks": lacks} for key, lacks in self.lacking.items()],
            "kinds": [{"kind": kind, "kernels": n, "pending": pending} for kind, n, pending in self.kinds],
            "estimate_s": round(self.estimate_s),
        }

    def __str__(self) -> str:
        pending = len(self.pending)
        lines = [f"{name}: {size:,} networks{self._limit(name)}" for name, size in self.spaces.items()]
        lines.append(
            f"{self.device}: {len(self.kernels)} distinct kernels, {pending} to measure, about {self.estimate_s:.0f} s"
        )
        if self.lacking:
            ops = Counter(reason for lacks in self.lacking.values() for reason in lacks)
            named = ", ".join(f"{reason} x{n}" for reason, n in sorted(ops.items()))
            lines.append(f"{len(self.lacking)} cannot be measured, the runtime has no {named}: use another --runtime")
        if self.spaces:
            lines.append(f"  {'kernels':>7}  {'to measure':>10}  kind")
            lines += [f"  {n:7}  {left:10}  {kind}" for kind, n, left in self.kinds]
        else:
            lines += [f"  {label}" for label in self.pending]
            lines += [f"  {self.kernels[key]} (not supported: {', '.join(why)})" for key, why in self.lacking.items()]
        return "\n".join(lines)

    def _limit(self, name: str) -> str:
        share = self.covered.get(name, 1.0)
        return "" if share == 1 else f", about {share:.0%} of them covered: the others have kernels of their own"


def plan_of(
    device: "Device",
    sources: "Sequence[Network | Path]",
    spaces: "Sequence[SearchSpace]",
    *,
    check: bool,
    check_networks: int,
) -> "tuple[Plan, list[Network | Path]]":
    """The plan for networks and search spaces together.

    Args:
        device: what is profiled.
        sources: networks, and paths of ONNX files.
        spaces: spaces whose kernels are wanted.
        check: measure networks whole.
        check_networks: so many random networks of each space are checked beside ``sources``.

    Returns:
        The plan, and the sources of its subjects in order.

    Raises:
        LutraError: as `make_plan` and `make_space_plan` raise.
    """
    from ..profiler import make_plan, make_space_plan

    if not spaces:
        return make_plan(device, map(subject_of, sources), check=check), list(sources)
    for space in spaces:
        sys.stderr.write(f"working out the kernels of {space.name}\n")
    drawn = [network for space in spaces for network in random_networks(space, check_networks * check, seed=0)]
    subjects = [*sources, *drawn]
    plan = make_space_plan(
        device,
        [chain for space in spaces for chain in space.chains()],
        check_networks=map(subject_of, subjects),
        networks=[network for space in spaces for network in space.covering()],
        check=check,
    )
    return plan, subjects


def outlook(plan: "Plan", spaces: "Sequence[SearchSpace]", store: "Store | None", *, fresh: bool) -> Outlook:
    """What a plan comes to, given what ``store`` has already."""
    from ..profiler.estimate import pace_of

    known: set[str] = set()
    pace = 1.0
    fingerprint = plan.device.fingerprint
    if store and fingerprint.digest in {record.digest for record in store.devices()}:
        if fingerprint.kind == "real":  # a simulated clock says nothing about how long it takes
            pace = pace_of(store.measurements(fingerprint, "kernel"))
        known = set() if fresh else store.keys(fingerprint, "kernel", statuses=("ok", "noisy"))
    kernels = {key: kernel.label for key, kernel in plan.kernels.items()}
    known &= set(kernels)
    lacking = {key: tuple(dict.fromkeys(kernel.lacks)) for key, kernel in plan.kernels.items() if kernel.lacks}
    return Outlook(
        device=str(plan.device),
        spaces={space.name: space.size for space in spaces},
        covered=covered_shares(spaces, plan),
        uses=plan.uses,
        kernels=kernels,
        known=frozenset(known),
        lacking=lacking,
        estimate_s=plan.estimate_s(len(kernels) - len(known) - len(lacking), pace),
    )


def covered_shares(spaces: "Sequence[SearchSpace]", plan: "Plan") -> dict[str, float]:
    """By space that is no chain: the share of random networks that the plan's kernels are enough for."""
    return {space.name: _covered(space, plan) for space in spaces if not space.chains()}


def _covered(space: "SearchSpace", plan: "Plan") -> float:
    from ..networks.lowering import lower

    device = plan.device
    networks = random_networks(space, _LOOKED_AT, seed=1)
    lowered = [lower(n, device.runtime, precision=device.precision, threads=device.threads) for n in networks]
    return sum(plan.kernels.keys() >= whole.distinct.keys() for whole in lowered) / len(lowered)


def _kind(label: str) -> str:
    """What a kernel does, without the shapes that it does it on."""
    return _SHAPES.sub("", label)
