"""The plain twin of `csrc/cpu_sim`: what an op takes on a CPU, term by term.

``t = op_us + fork_us + (compute**4 + memory**4) ** (1/4)``: arithmetic and memory overlap, and the sharper the fourth
power, the more alike it is to the larger of the two (as the oldest roofline, Williams et al. 2009, has it).
"""

import math
from dataclasses import dataclass
from typing import Final

from .work import CpuWork, Kind

BOUNDS: Final = ("compute", "l2", "llc", "dram", "launch")
ROWS_OF_TASK: Final = 8
OUTPUTS_OF_TASK: Final = 32
ELEMENTS_OF_TASK: Final = 4096
CACHE_SHARE: Final = 0.5


@dataclass(frozen=True)
class Chip:
    """A CPU in one number format, and how many of its cores are at work; units in the names."""

    threads: int
    ghz: float
    flops_per_cycle: float
    lanes: float
    efficiency: float
    l2_bytes: float
    llc_bytes: float
    dram_gb_s: float
    core_dram_gb_s: float
    fork_us: float
    compute_factor: float = 1.0
    memory_factor: float = 1.0


@dataclass(frozen=True)
class Constants:
    """What holds for every CPU: efficiencies beside that of large products, and rates.

    Attributes:
        depthwise, pool, pointwise: share of the rate of large products.
        depth_half, rows_half: products added up, and rows, at which half of the rate is reached.
        winograd: how much quicker a 3x3 convolution gets.
        l2_bytes_per_cycle: of one core.
        llc_bytes_per_cycle: of one core, from the shared cache.
        dram_share: of the bandwidth of memory that an op reaches.
        op_us: what a call takes, in us.
    """

    depthwise: float
    pool: float
    pointwise: float
    depth_half: float
    rows_half: float
    winograd: float
    l2_bytes_per_cycle: float
    llc_bytes_per_cycle: float
    dram_share: float
    op_us: float


def estimate(work: CpuWork, chip: Chip, constants: Constants) -> tuple[float, str]:
    """Latency in ns, and what most of it goes to: one of `BOUNDS`."""
    compute = compute_ns(work, chip, constants)
    l2, llc, dram = memory_ns(work, chip, constants)
    memory = l2 + llc + dram
    launch = 1e3 * (constants.op_us + chip.fork_us * (chip.threads > 1))
    latency_ns = launch + (compute**4 + memory**4) ** 0.25
    if launch >= max(compute, memory):
        return latency_ns, "launch"
    if memory <= compute:
        return latency_ns, "compute"
    if dram >= max(l2, llc):
        return latency_ns, "dram"
    return latency_ns, "llc" if llc >= l2 else "l2"


def compute_ns(work: CpuWork, chip: Chip, constants: Constants) -> float:
    """Time of the arithmetic in ns, on as many cores as find something to do."""
    if not work.flops:
        return 0.0
    tasks = _tasks(work)
    cores_at_work = tasks / math.ceil(tasks / chip.threads)
    flops = work.flops / (constants.winograd if work.winograd else 1.0)
    rate = cores_at_work * chip.ghz * chip.flops_per_cycle * _efficiency(work, chip, constants)
    return flops / rate * chip.compute_factor


def memory_ns(work: CpuWork, chip: Chip, constants: Constants) -> tuple[float, float, float]:
    """Times in ns of what comes from the cores' own caches, the shared one, and memory.

    Activations that half of a cache holds are found in it, of larger ones that part; weights come from memory.
    """
    size = work.activation_bytes
    own = min(1.0, CACHE_SHARE * chip.l2_bytes * chip.threads / size) if size else 1.0
    kept = min(1.0, CACHE_SHARE * chip.llc_bytes / size) if size else 1.0
    shared = max(kept - own, 0.0)
    gb_s = min(chip.dram_gb_s * constants.dram_share, chip.threads * chip.core_dram_gb_s)
    cycles = chip.threads * chip.ghz
    l2 = size * own / (cycles * constants.l2_bytes_per_cycle)
    llc = size * shared / (cycles * constants.llc_bytes_per_cycle)
    dram = (size * (1.0 - own - shared) + work.weight_bytes) / gb_s
    return l2 * chip.memory_factor, llc * chip.memory_factor, dram * chip.memory_factor


def _tasks(work: CpuWork) -> int:
    if work.kind is Kind.POINTWISE:
        return math.ceil(work.rows / ELEMENTS_OF_TASK)
    return math.ceil(work.rows / ROWS_OF_TASK) * math.ceil(work.outputs / OUTPUTS_OF_TASK)


def _efficiency(work: CpuWork, chip: Chip, constants: Constants) -> float:
    filled = work.outputs / (math.ceil(work.outputs / chip.lanes) * chip.lanes)
    match work.kind:
        case Kind.PRODUCT:
            deep = work.depth / (work.depth + constants.depth_half)
            long = work.rows / (work.rows + constants.rows_half)
            return chip.efficiency * filled * deep * long
        case Kind.DEPTHWISE:
            return chip.efficiency * constants.depthwise * filled
        case Kind.POOL:
            return chip.efficiency * constants.pool
        case Kind.POINTWISE:
            return chip.efficiency * constants.pointwise
