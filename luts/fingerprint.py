"""What makes two machines the same device: the identity under which rows are kept."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self, TypeAlias

from ..networks.errors import UsageError
from ._json import canonical, parse_object

Value: TypeAlias = str | int | bool | tuple[str, ...]
Pairs: TypeAlias = tuple[tuple[str, Value], ...]

DEVICE_KINDS: Final = ("real", "simulated", "null", "imported")
UNKNOWN: Final = "unknown"
"""Stands for what the source of imported latencies does not tell."""
IDENTITY_SECTIONS: Final = ("hardware", "runtime", "settings", "code")
_REQUIRED: Final = {"runtime": ("name",), "settings": ("precision", "threads")}


@dataclass(frozen=True, eq=False, kw_only=True)
class Fingerprint:
    """The identity of a device: rows measured under one fingerprint never mix with another's.

    Every section is given as a mapping or as pairs and kept as a sorted tuple of ``(name, value)``. A value is
    text, an integer, a bool, or a tuple of texts (kept sorted: a set of flags). Floats are refused, because
    two probes of one machine must give equal values.

    Two fingerprints are equal when everything but ``notes`` is equal.

    Args:
        kind: ``"real"``, ``"simulated"``, ``"null"`` (a deterministic stand-in for tests) or ``"imported"`` (the
            latencies are somebody else's, from a file).
        hardware: ``model``, ``architecture``, ``isa`` (the instruction sets that matter), ``physical_cores``,
            ``logical_cores``, ``memory_gib`` (a class, not the exact size), and whatever else decides speed.
        runtime: ``name`` (required), ``version``, ``build``.
        settings: ``precision`` and ``threads`` (both required; 0 threads where an import does not tell).
        code: the version of Lutra's own code that decides what a row means.
        notes: recorded beside the identity but no part of it (microcode, operating-system kernel).

    Raises:
        UsageError: an unknown kind, a missing required name, or a value of another type.
    """

    kind: str
    runtime: Pairs
    settings: Pairs
    hardware: Pairs = ()
    code: Pairs = ()
    notes: Pairs = ()

    def __post_init__(self) -> None:
        if self.kind not in DEVICE_KINDS:
            raise UsageError(f"device kind is {self.kind!r}", hint=f"use one of {', '.join(DEVICE_KINDS)}")
        for section in (*IDENTITY_SECTIONS, "notes"):
            object.__setattr__(self, section, _pairs(section, getattr(self, section)))
        for section, names in _REQUIRED.items():
            held = dict(getattr(self, section))
            for name in names:
                if name not in held:
                    raise UsageError(f"the fingerprint has no {section} {name!r}", hint=f"add it to {section}")
        threads = dict(self.settings)["threads"]
        fewest = 0 if self.kind == "imported" else 1
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < fewest:
            raise UsageError(f"threads is {threads!r}", hint="give the number of threads, 1 or more")

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        hardware: Mapping[str, Value],
        runtime: Mapping[str, Value],
        settings: Mapping[str, Value],
        code: Mapping[str, Value] | None = None,
        notes: Mapping[str, Value] | None = None,
    ) -> Self:
        """Build a fingerprint from mappings, one a section."""
        return cls(
            kind=kind,
            hardware=tuple(hardware.items()),
            runtime=tuple(runtime.items()),
            settings=tuple(settings.items()),
            code=tuple((code or {}).items()),
            notes=tuple((notes or {}).items()),
        )

    @classmethod
    def imported(cls, source: str) -> Self:
        """Return the identity of a device of which a file tells latencies and a name, and nothing else."""
        return cls.of(
            "imported",
            hardware={"model": source},
            runtime={"name": UNKNOWN},
            settings={"precision": UNKNOWN, "threads": 0},
        )

    @property
    def runtime_name(self) -> str:
        """The runtime that executes the kernels, such as ``"onnxruntime"``."""
        return str(dict(self.runtime)["name"])

    @property
    def precision(self) -> str:
        """The number format the kernels compute in, such as ``"float32"``."""
        return str(dict(self.settings)["precision"])

    @property
    def threads(self) -> int:
        """How many threads the runtime uses; 0 where an import does not tell."""
        threads = dict(self.settings)["threads"]
        assert isinstance(threads, int)  # checked at construction
        return threads

    def identity(self) -> dict[str, Any]:
        """Return what the digest covers, as plain data."""
        sections = {section: dict(getattr(self, section)) for section in IDENTITY_SECTIONS}
        return {"kind": self.kind, **sections}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the identity, 64 hexadecimal digits."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fingerprint):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def differences(self, other: "Fingerprint") -> list[str]:
        """Say what differs, a line each: ``threads: 1 -> 2``, ``isa: +avx512f -sse4a``.

        Empty exactly when the two are equal. A name that occurs in several sections is written with its
        section (``runtime.version``).
        """
        mine, theirs = self._named(), other._named()
        names = list(dict.fromkeys((*mine, *theirs)))
        seen = Counter(name for _, name in names)
        lines = []
        for section, name in names:
            before, after = mine.get((section, name)), theirs.get((section, name))
            if canonical(before) != canonical(after):  # 1 and True are equal in Python but not here
                label = name if seen[name] == 1 else f"{section}.{name}"
                lines.append(f"{label}: {_change(before, after)}")
        return lines

    def _named(self) -> dict[tuple[str, str], Value]:
        named: dict[tuple[str, str], Value] = {("device", "kind"): self.kind}
        for section in IDENTITY_SECTIONS:
            named.update({(section, name): value for name, value in getattr(self, section)})
        return named

    def to_dict(self) -> dict[str, Any]:
        """Return the fingerprint as plain JSON data; ``from_dict`` reads it back."""
        named = {**self.identity(), "notes": dict(self.notes)}
        plain: dict[str, Any] = parse_object(canonical(named), "fingerprint")
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` gave.

        Raises:
            UsageError: a section is unknown, missing or malformed.
        """
        known = {"kind", *IDENTITY_SECTIONS, "notes"}
        if not isinstance(data, Mapping) or not {"kind", "runtime", "settings"} <= set(data) <= known:
            found = ", ".join(sorted(map(str, data))) if isinstance(data, Mapping) else repr(data)
            raise UsageError(f"a fingerprint with sections: {found}", hint=f"known: {', '.join(sorted(known))}")
        sections = {name: value for name, value in data.items() if name != "kind"}
        for name, value in sections.items():
            if not isinstance(value, Mapping):
                raise UsageError(f"fingerprint section {name} is {value!r}", hint="give an object")
        return cls(kind=data["kind"], **{name: tuple(value.items()) for name, value in sections.items()})

    def to_json(self) -> str:
        """Return the canonical JSON text."""
        return canonical(self.to_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            UsageError: not JSON, or not a fingerprint.
        """
        return cls.from_dict(parse_object(text, "the fingerprint"))


def _pairs(section: str, given: Mapping[str, Value] | Iterable[tuple[str, Value]]) -> Pairs:
    items = list(given.items() if isinstance(given, Mapping) else given)
    if len({name for name, _ in items}) != len(items):
        raise UsageError(f"fingerprint section {section} has a name twice", hint="give each name once")
    return tuple(sorted((_name(section, name), _value(f"{section}.{name}", value)) for name, value in items))


def _name(section: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"fingerprint section {section} has the name {name!r}", hint="use a non-empty text")
    return name


def _value(where: str, value: object) -> Value:
    if isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value):
        return tuple(sorted(value))
    raise UsageError(f"fingerprint value {where} is {value!r}", hint="use text, an integer, a bool or texts")


def _change(before: Value | None, after: Value | None) -> str:
    if isinstance(before, tuple) and isinstance(after, tuple):
        gained = [f"+{item}" for item in after if item not in before]
        lost = [f"-{item}" for item in before if item not in after]
        return " ".join(gained + lost) or "repeated differently"
    return f"{_shown(before)} -> {_shown(after)}"


def _shown(value: Value | None) -> str:
    if value is None:
        return "(absent)"
    return " ".join(value) if isinstance(value, tuple) else str(value)
