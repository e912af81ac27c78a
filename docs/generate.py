"""Writes the pages that are made from code: `docs/errors.md` and `docs/ops.md`.

``python docs/generate.py`` writes them; a test compares what stands in the folder with what this makes.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lutra.networks import OpSpec, catalogue, errors
from lutra.networks.errors import LutraError
from lutra.networks.ops import Attr

DOCS = Path(__file__).resolve().parent

REMEDIES = {
    "LUTRA-E000": "The message says what; the line that starts with `fix:` says what to do.",
    "LUTRA-E100": "Correct the argument that the message names; `lutra COMMAND --help` lists what each takes.",
    "LUTRA-E101": "Take one of the names in the message. `lutra devices`, `lutra ops` and `zoo.names()` list them all.",
    "LUTRA-E102": "Give the op the shapes and attributes that [the catalogue](ops.md) lists for it.",
    "LUTRA-E104": "Correct the row and column in the message; [the formats](tables-formats.md) say what belongs there. "
    "Nothing of the file was taken over.",
    "LUTRA-E105": "Raise the budget to the least that the message names, or search a space with smaller networks.",
    "LUTRA-E106": "Resume with the command that the search printed when it stopped, or begin anew in another folder.",
    "LUTRA-E107": "Correct the file and the image that the message names; [estimating "
    "accuracy](accuracy-estimation.md) says which forms are read.",
    "LUTRA-E200": "The message names what does work here.",
    "LUTRA-E201": "The message counts every op that is missing. Replace them in the model, or declare them: "
    'CONTRIBUTING.md, "Add an op".',
    "LUTRA-E202": "Convert the model to one of the element types in the message.",
    "LUTRA-E203": "Run the `pip install` command in the message.",
    "LUTRA-E204": (
        "Measure what is missing: `lutra profile` with the same network, device, runtime, threads and precision."
    ),
    "LUTRA-E300": "Check that the path leads to the model that you mean.",
    "LUTRA-E301": "Export or copy the file again; it is cut off or not of the format that its name claims.",
    "LUTRA-E302": "Export the model with every dimension fixed, the batch included. Latency belongs to one shape.",
    "LUTRA-E303": "Save the model as one file. Files that point at other files are not followed, for safety.",
    "LUTRA-E304": "Take the weights out, or a smaller model; the message gives the cap and what the file needs.",
    "LUTRA-E400": "Upgrade Lutra, or write the data again with the version that is installed.",
    "LUTRA-E401": "Measure on this machine: `lutra profile`. If the machine has changed, undo the change, or begin a "
    "new table beside the old one with `--new-table`. Rows of another machine are never mixed in.",
    "LUTRA-E500": "Run `lutra doctor`, then the same command again; rows that were measured are kept.",
    "LUTRA-E501": "Run the same command again. If the same kernel crashes again, report it with the kernel's name.",
    "LUTRA-E502": "Run the same command again on a quieter machine.",
    "LUTRA-E503": "Look at `nvidia-smi` and the system's log, then run the same command again; rows so far are kept.",
    "LUTRA-E600": "Point `--store` or `LUTRA_STORE` at another file.",
    "LUTRA-E601": "Make the file and its folder writable, or point `--store` or `LUTRA_STORE` elsewhere.",
    "LUTRA-E602": "Free some space and run the same command again; it goes on where it stopped.",
    "LUTRA-E603": "Wait for the other process to finish, or stop it; a killed one's hold ends by itself.",
    "LUTRA-E604": "Restore the file from a backup, or move it away and measure again.",
    "LUTRA-E605": "Upgrade Lutra, or point `--store` or `LUTRA_STORE` at another file.",
    "LUTRA-E700": "Check the folder's path and that it can be written.",
    "LUTRA-E701": "Copy the predictor again from where it was saved, or fit it anew.",
    "LUTRA-E800": "The message says what to lower or to change; the last checkpoint stays as it is.",
    "LUTRA-E801": "Lower the learning rate, or warm it up for longer; the last good checkpoint stays as it is.",
    "LUTRA-E802": "Resume with the same network, data and recipe, or begin anew in another folder.",
}
"""What to do about each error, by code."""

_MADE = "<!-- Made by `make docs`; do not edit. -->\n"

_ERRORS_INTRODUCTION = """\
# Errors

Every error that Lutra raises on purpose is a `LutraError`. Its message says what is wrong and how to mend it; on the
command line it goes to stderr with its code, and the command ends with the exit code below. From Python, catch the
class: `from lutra.networks.errors import LutraError`.

| exit code | meaning |
|---:|---|
| 0 | done |
| 1 | failed |
| 2 | wrong arguments or a model that cannot be read |
| 3 | sensible, but not supported here |
| 5 | interrupted; the same command goes on where it stopped |
"""

_OPS_INTRODUCTION = """\
# Ops

The primitive operations that networks are made of. `lutra ops` lists them on the command line; each is declared once,
in `networks/ops/`. An attribute without a default must be given. N is the batch, C channels, H and W height and width.
"""


def error_classes(root: type[LutraError] = LutraError) -> Iterator[type[LutraError]]:
    """The error tree, parents before children, in the order of the code."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from error_classes(child)


def errors_page() -> str:
    """`docs/errors.md`: the tree, then a heading for each code."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("::\n", 1)[1].split("\n\nEach class", 1)[0]
    parts = [_MADE, _ERRORS_INTRODUCTION, f"```text\n{inspect.cleandoc(tree)}\n```\n"]
    parts += [_error_section(cls) for cls in error_classes()]
    return "\n".join(parts)


def _error_section(cls: type[LutraError]) -> str:
    what = (inspect.getdoc(cls) or "").splitlines()[0]
    remedy = REMEDIES[cls.code]
    return f"## {cls.code}\n\n`{cls.__name__}`, exit code {cls.exit_code}. {what}\n\n{remedy}\n"


def ops_page() -> str:
    """`docs/ops.md`: the catalogue by family."""
    families: dict[str, list[OpSpec]] = {}
    for spec in catalogue():
        families.setdefault(spec.family, []).append(spec)
    parts = [_MADE, _OPS_INTRODUCTION]
    for family, specs in families.items():
        parts.append(f"## {family}\n")
        parts += [_op_section(spec) for spec in specs]
    return "\n".join(parts)


def _op_section(spec: OpSpec) -> str:
    lines = [f"### {spec.kind}\n", f"{spec.summary}\n", f"Inputs: {_arity(*spec.arity)}. Example: `{_example(spec)}`\n"]
    if spec.attributes:
        lines += ["| attribute | type | default | meaning |", "|---|---|---|---|"]
        lines += [_attribute(name, attr) for name, attr in spec.attributes.items()]
        lines.append("")
    return "\n".join(lines)


def _arity(least: int, most: int | None) -> str:
    if most is None:
        return f"{least} or more"
    return str(least) if least == most else f"{least} to {most}"


def _example(spec: OpSpec) -> str:
    op = spec.examples()[0]
    return f"{', '.join(map(str, op.inputs))} → {', '.join(map(str, op.outputs))}".removeprefix(" ")


def _attribute(name: str, attr: Attr) -> str:
    type_ = f"{attr.type}[{attr.length}]" if attr.length else attr.type
    default = "" if attr.required else f"`{attr.default!r}`"
    meaning = attr.doc + (f" (one of {', '.join(attr.choices)})" if attr.choices else "")
    return f"| `{name}` | {type_} | {default} | {meaning.replace('|', chr(92) + '|')} |"


PAGES: dict[str, Callable[[], str]] = {"errors.md": errors_page, "ops.md": ops_page}
"""What makes each generated page of this folder."""


def main() -> int:
    """Write the pages; returns the exit status."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
