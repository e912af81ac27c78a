"""``lutra design-spaces``: which width and size of image to search for a device whose memory is small."""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import EngineOption, JsonOption, bytes_of, echo_json, share_of

if TYPE_CHECKING:
    from ...nas.design_space import DesignSpace
    from ...nas.spaces import SearchSpace

_TOP = 0.2
_MILLION = 1e6


def design_spaces(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPACE]...",
            help="Search spaces (* matches any), name@96,160, or your own .py files; tinynas-* if omitted.",
        ),
    ] = None,
    sram: Annotated[
        str | None, typer.Option("--sram", metavar="SIZE", help="RAM that there is: 320kB (of 1024 bytes) or 1MB.")
    ] = None,
    flash: Annotated[
        str | None, typer.Option("--flash", metavar="SIZE", help="Flash that there is: 1MB or 512kB.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="BOARD", help="A board, for its memory: a name, or a .yaml file."),
    ] = None,
    engine: EngineOption = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=1, help="Random networks of each design space.")
    ] = 1000,
    top: Annotated[
        str | None,
        typer.Option("--top", metavar="PERCENT", help="Rank by what the top 20% (or so) have at least, not the mean."),
    ] = None,
    show: Annotated[int, typer.Option("--show", metavar="N", min=1, help="Design spaces to list.")] = 10,
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="FILE", help="Draw the distributions of MACs as a PNG file.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the drawing.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Rank design spaces (a width and a size of image) for a microcontroller, before anything is searched or trained.

    Random networks of each are drawn, and those that fit the memory are kept: the space is best whose networks do the
    most MACs within it.
    """
    from ...nas.design_space import rank
    from ...profiler.mcu.engines import DEFAULT, engine_of

    sram_bytes, flash_bytes = _memory(sram, flash, device)
    rules = engine_of(engine or DEFAULT).memory
    found = rank(
        _spaces(names or ["tinynas-*"]),
        sram_bytes=sram_bytes,
        flash_bytes=flash_bytes,
        rules=rules,
        top=share_of(top),
        samples=samples,
        seed=seed,
    )
    if as_json:
        echo_json([_described(space, share_of(top) or _TOP) for space in found])
    else:
        _print(found[:show], share_of(top) or _TOP)
    if plot is not None:
        from ...nas.design_space_plot import save_cdfs

        memory = f"SRAM {sram_bytes / 1024:g} kB, flash {flash_bytes / 1024:g} kB"
        save_cdfs(found, plot, title=f"{memory}, engine {rules.engine}")


def _memory(sram: str | None, flash: str | None, device: str | None) -> tuple[int, int]:
    """Bytes of RAM and of flash, given or a board's.

    Raises:
        UsageError: neither is complete.
    """
    from ...networks.errors import UsageError
    from ...profiler.mcu.boards import board_of

    board = board_of(device) if device is not None else None
    sram_bytes = bytes_of(sram) if sram is not None else board.ram_bytes if board else None
    flash_bytes = bytes_of(flash) if flash is not None else board.flash_bytes if board else None
    if sram_bytes is None or flash_bytes is None:
        raise UsageError(
            "how much memory there is has not been said", hint="give --device BOARD, or --sram 320kB --flash 1MB"
        )
    return sram_bytes, flash_bytes


def _spaces(names: list[str]) -> "list[SearchSpace]":
    """The spaces that arguments name, each once.

    Raises:
        UsageError: a pattern that no name matches.
    """
    from ...nas import spaces as registered
    from ...networks.errors import UsageError
    from ..spaces import space_of

    chosen: dict[str, None] = {}
    for name in names:
        matching = [known for known in registered.names() if fnmatchcase(known, name)] if "*" in name else [name]
        if not matching:
            raise UsageError(f"no search space matches {name!r}", hint="list them: lutra spaces")
        chosen |= dict.fromkeys(matching)
    return [space_of(name) for name in chosen]


def _described(space: "DesignSpace", share: float) -> dict[str, Any]:
    return {
        "design_space": space.name,
        "sampled": space.sampled,
        "fit": len(space.macs),
        "mean_macs": space.mean_macs,
        "top_share": share,
        "top_macs": space.macs_above(share),
        "least_sram_bytes": space.least_sram_bytes,
        "least_flash_bytes": space.least_flash_bytes,
    }


def _print(found: "list[DesignSpace]", share: float) -> None:
    from ..render import console, grid

    rows = [
        [
            space.name,
            f"{len(space.macs):,} of {space.sampled:,}",
            f"{space.mean_macs / _MILLION:.1f}",
            f"{space.macs_above(share) / _MILLION:.1f}",
        ]
        for space in found
        if len(space.macs)
    ]
    console().print(grid(["design space", "fit", "mean MMACs", f"top {share:.0%} above"], rows, left=1))
