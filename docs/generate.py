"""Writes the pages that are made from code: `docs/api.md`, `docs/errors.md` and `docs/ops.md`.

``python docs/generate.py`` writes them; a test compares what stands in the folder with what this makes.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    "LUTRA-E606": "Start the database server, or correct the URL of `--store` or `LUTRA_STORE`; committed rows stand.",
    "LUTRA-E700": "Check the folder's path and that it can be written.",
    "LUTRA-E701": "Copy the predictor again from where it was saved, or fit it anew.",
    "LUTRA-E800": "The message says what to lower or to change; the last checkpoint stays as it is.",
    "LUTRA-E801": "Lower the learning rate, or warm it up for longer; the last good checkpoint stays as it is.",
    "LUTRA-E802": "Resume with the same network, data and recipe, or begin anew in another folder.",
    "LUTRA-E900": "The message says which job and why.",
    "LUTRA-E901": "`lutra jobs list` shows the jobs; finished ones are deleted when they are old.",
    "LUTRA-E902": "Correct the fields that the message names; [jobs](jobs.md) lists what each kind takes.",
    "LUTRA-E903": "`lutra jobs show JOB` says where it stands; `lutra jobs clone JOB` runs a finished one again.",
    "LUTRA-E904": "Wait until some are done, or `lutra jobs cancel` some; start more workers with `lutra worker`.",
    "LUTRA-E905": "Send another request with another key. The same request with the same key gives the same job.",
    "LUTRA-E906": "Nothing: another worker goes on where this one stopped.",
    "LUTRA-E910": "The message says what the server answered; its log has the request's number.",
    "LUTRA-E911": "Send a token: `Authorization: Bearer ...`, or `LUTRA_TOKEN` for the command line and the client. "
    "`lutra serve` prints one, `lutra token create` makes others.",
    "LUTRA-E912": "Make a token of the scope that the message names: `lutra token create NAME --scope SCOPE`. In a "
    "browser, act from the server's own pages.",
    "LUTRA-E913": "Check the address and the method with [the API's reference](api.md).",
    "LUTRA-E914": "Read the thing again and repeat the request, or wait until it is free.",
    "LUTRA-E915": "Correct the fields that the message names; [the API's reference](api.md) says what belongs there.",
    "LUTRA-E916": "Send less at once, or raise the limit: `lutra serve --max-upload-mb`.",
    "LUTRA-E917": "Send or ask for one of the kinds in the message.",
    "LUTRA-E918": "Wait as long as the message, or the header `Retry-After`, says.",
    "LUTRA-E919": "Look for the request's number in the server's log, and report what stands there.",
    "LUTRA-E920": "Check the address, and that the server runs: `curl ADDRESS/healthz`.",
    "LUTRA-E930": "The message says what; [the fleet](fleet.md) says how machines come together.",
    "LUTRA-E931": "Check the address, and that this machine is in the cluster: `lutra fleet head` or `join`.",
    "LUTRA-E932": "Start the machine again, `lutra fleet join`, and give the same command again: rows are kept.",
    "LUTRA-E933": "Install the same versions of Lutra and Python on all machines, and let them join again.",
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


_API_INTRODUCTION = """\
# The REST API

Every operation of [the server](service.md), made from its contract; `/v1/openapi.json` on a server is the whole of it,
with the form of every answer. A request brings a token, `Authorization: Bearer TOKEN`, whose scope includes the one
that stands with the operation: `read` is in `profile`, and both are in `admin`.

Errors are `application/problem+json` with `code` (a heading of [errors](errors.md)), `detail`, `hint`, `data` and
`request`, the request's number in the server's log. Lists come in pages: `next` is the address of the next one.
"""


def api_page() -> str:
    """`docs/api.md`: the operations by tag."""
    from lutra.service.api.app import contract, scopes

    document, needed = contract(), scopes()
    forms = document["components"]["schemas"]
    tags: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            head = f"### {method.upper()} {path}\n"
            section = _operation_section(operation, needed.get((method.upper(), path)), forms)
            tags.setdefault(operation["tags"][0], []).extend([head, section])
    parts = [_MADE, _API_INTRODUCTION]
    for tag in sorted(tags):
        parts += [f"## {tag}\n", *tags[tag]]
    return "\n".join(parts)


def _operation_section(operation: dict[str, Any], scope: str | None, forms: dict[str, Any]) -> str:
    lines = [f"{operation['description']} {f'Scope: `{scope}`.' if scope else 'No token.'}\n"]
    rows = [
        (f"`{given['name']}` ({given['in']})", given["schema"], given["required"], given.get("description", ""))
        for given in operation.get("parameters", [])
    ]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        if kind != "application/json":
            lines.append(f"The body is the file itself, `{kind}`.\n")
            continue
        form = forms[body["schema"]["$ref"].rpartition("/")[2]]
        rows += [
            (f"`{name}`", field, name in form.get("required", []), field.get("description", ""))
            for name, field in form["properties"].items()
        ]
    if rows:
        lines += ["| | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {_type(form)} | {_given(form, must)} | {_cell(text)} |" for name, form, must, text in rows
        ]
        lines.append("")
    answers = [status for status in operation["responses"] if status < "4"]
    problems = sorted(status for status in operation["responses"] if status >= "4")
    lines.append(f"Answers {', '.join(answers)}; errors {', '.join(problems) or 'none'}.\n")
    return "\n".join(lines)


def _type(form: dict[str, Any]) -> str:
    if "$ref" in form:
        return str(form["$ref"]).rpartition("/")[2]
    if "anyOf" in form:
        return " or ".join(dict.fromkeys(_type(one) for one in form["anyOf"] if one.get("type") != "null"))
    if "enum" in form:
        return ", ".join(map(str, form["enum"]))
    if form.get("type") == "array":
        return f"list of {_type(form['items'])}"
    return str(form.get("type", "any"))


def _given(form: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    return f"`{form['default']}`" if form.get("default") not in (None, {}) else ""


def _cell(text: str) -> str:
    return text.replace("|", chr(92) + "|")


PAGES: dict[str, Callable[[], str]] = {"api.md": api_page, "errors.md": errors_page, "ops.md": ops_page}
"""What makes each generated page of this folder."""


def main() -> int:
    """Write the pages; returns the exit status."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
