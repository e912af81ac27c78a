"""`Kinds`: the classes of one plug-in kind by name; built-ins register themselves, others come through entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from .errors import UnknownNameError, UsageError

Base = TypeVar("Base")
Class = TypeVar("Class", bound=type[Any])


class Kinds(Generic[Base]):
    """The classes of one plug-in kind.

    Args:
        what: one of them in a message: "predictor".
        group: entry points by which installed packages bring theirs.
        load: imports the built-ins, where importing the package does not; called before names are looked up.

    Attributes:
        group: as given.
    """

    def __init__(self, what: str, group: str, *, load: Callable[[], None] = lambda: None) -> None:
        self.group = group
        self._what = what
        self._load = load
        self._registered: dict[str, type[Base]] = {}

    def register(self, kind: str) -> Callable[[Class], Class]:
        """Class decorator: make a class known under ``kind``, which becomes its attribute of that name.

        Raises:
            UsageError: another class has that name.
        """

        def decorate(cls: Class) -> Class:
            other = self._registered.get(kind)
            if other is not None:
                raise UsageError(
                    f"{self._what} {kind!r} is there twice: {other.__qualname__}, {cls.__qualname__}",
                    hint="rename one of them",
                )
            cls.kind = kind
            self._registered[kind] = cls
            return cls

        return decorate

    def names(self) -> tuple[str, ...]:
        """All names, those of installed plug-ins included, sorted."""
        self._load()
        return tuple(sorted({*self._registered, *(entry.name for entry in entry_points(group=self.group))}))

    def get(self, kind: str) -> type[Base]:
        """The class of a name; imports the plug-in that brings it if need be.

        Raises:
            UnknownNameError: no such name; lists the known ones.
        """
        self._load()
        if kind not in self._registered:
            for entry in entry_points(group=self.group, name=kind):
                entry.load()  # importing it runs its `register`
        if kind not in self._registered:
            raise UnknownNameError(self._what, kind, self.names())
        return self._registered[kind]
