"""How results look on a terminal: plain text where it is none."""

import errno
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table as Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..nas import SearchResult
    from ..nas.gradient import EpochReport
    from ..profiler import Progress

# Where there is no terminal, a line of progress comes after so many kernels, or so many seconds.
_LINE_EVERY = 10
_LINE_EVERY_S = 10.0
_UNFOLDED = 10_000  # columns; wider than any line


class _Console(Console):
    """A console that leaves a broken pipe to `lutra.service.cli`, instead of ending the program with status 1."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, "the reader has gone")


def console(stream: TextIO | None = None) -> Console:
    """A console on ``stream`` (standard output); without colour or folded lines where that is no terminal."""
    stream = stream or sys.stdout
    return _Console(file=stream, highlight=False, width=None if stream.isatty() else _UNFOLDED)


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Grid:
    """A table whose first ``left`` columns are text and the others numbers."""
    table = Grid(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


@contextmanager
def campaign_progress() -> "Iterator[Callable[[Progress], None]]":
    """A progress bar on standard error: kernels done of all, time to go, what is being measured, noisy rows.

    Where standard error is no terminal, a line every few kernels or seconds instead.
    """
    if not sys.stderr.isatty():
        yield _line_printer()
        return
    bar = ProgressBar(
        TextColumn("kernels"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.fields[noisy]}"),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, noisy="", eta="")

        def show(progress: "Progress") -> None:
            noisy = _noise(progress)
            current = escape(progress.current[:60])
            eta = "" if progress.eta_s is None else f"{timedelta(seconds=round(progress.eta_s))} to go"
            bar.update(task, completed=progress.done, total=progress.total, description=current, noisy=noisy, eta=eta)

        yield show


@contextmanager
def search_progress(total: int, objective: str) -> "Iterator[Callable[[SearchResult], None]]":
    """A progress bar on standard error: evaluations done of all, the best so far, failed ones, time to go.

    Where standard error is no terminal, a line every few seconds instead.

    Args:
        total: evaluations.
        objective: what the best is of, for people.
    """
    if not sys.stderr.isatty():
        yield _search_lines(total, objective)
        return
    bar = ProgressBar(
        TextColumn("evaluated"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total)

        def show(result: "SearchResult") -> None:
            bar.update(task, completed=len(result), description=escape(_best(result, objective)))

        yield show


@contextmanager
def epoch_progress(total: int) -> "Iterator[Callable[[EpochReport], None]]":
    """A progress bar on standard error: epochs done of all, loss, expected latency, time to go.

    Where standard error is no terminal, a line for each epoch instead.
    """
    with training_progress(total) as show:
        yield lambda report: show(report.epoch, _epoch(report))


@contextmanager
def training_progress(total: int) -> "Iterator[Callable[[int, str], None]]":
    """A progress bar on standard error, told how many epochs are done and what the last one came to; time to go.

    Where standard error is no terminal, a line for each epoch instead.
    """
    if not sys.stderr.isatty():
        yield _epoch_lines(total)
        return
    bar = ProgressBar(
        TextColumn("epochs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda number, text: bar.update(task, completed=number, description=text)


def _epoch_lines(total: int) -> "Callable[[int, str], None]":
    def show(number: int, text: str) -> None:
        sys.stderr.write(f"epoch {number}/{total}: {text}\n")

    return show


def _epoch(report: "EpochReport") -> str:
    """The loss, the latency that the choices come to, and how certain they are."""
    expected = "" if report.expected_ms is None else f", {report.expected_ms:.4g} ms expected"
    return f"loss {report.weights_loss:.3f}{expected}, {report.certainty:.0%} certain"


def _best(result: "SearchResult", objective: str) -> str:
    """The best value so far, and how many evaluations failed."""
    best = result.best_so_far[-1:]
    failed = f", {len(result.failed)} failed" * bool(len(result.failed))
    return f"best {objective} {number(best[0])}{failed}" if len(best) and best[0] == best[0] else failed.lstrip(", ")


def number(value: float) -> str:
    """A number of any size as people read it: counts in full, others with six digits."""
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.6g}"


def _search_lines(total: int, objective: str) -> "Callable[[SearchResult], None]":
    shown_at_s = time.monotonic()

    def show(result: "SearchResult") -> None:
        nonlocal shown_at_s
        if time.monotonic() >= shown_at_s + _LINE_EVERY_S or result.stopped is not None:
            shown_at_s = time.monotonic()
            sys.stderr.write(f"{len(result)}/{total} evaluated: {_best(result, objective)}\n")

    return show


def _noise(progress: "Progress") -> str:
    """How well the kernels so far are known: the median half-width, and how many are noisy."""
    known = "" if progress.rel_halfwidth is None else f"±{progress.rel_halfwidth:.1%}"
    return f"{known} [yellow]{progress.noisy} noisy[/]" if progress.noisy else known


def _line_printer() -> "Callable[[Progress], None]":
    shown, shown_at_s = -_LINE_EVERY, time.monotonic()

    def show(progress: "Progress") -> None:
        nonlocal shown, shown_at_s
        now_s = time.monotonic()
        late = now_s >= shown_at_s + _LINE_EVERY_S
        if late or progress.done >= shown + _LINE_EVERY or (progress.done == progress.total != shown):
            shown, shown_at_s = progress.done, now_s
            eta = "" if progress.eta_s is None else f", about {progress.eta_s:.0f} s to go"
            noise = f", {progress.noisy} noisy" * (progress.noisy > 0)
            sys.stderr.write(f"{progress.done}/{progress.total} kernels{eta}{noise}: {progress.current}\n")

    return show


__all__ = [
    "campaign_progress",
    "console",
    "epoch_progress",
    "escape",
    "grid",
    "number",
    "search_progress",
    "training_progress",
]
