"""Kernels by what they compute: the family, the channels and the size of the image that a label tells."""

import re
from dataclasses import dataclass
from typing import Final, Self

_LABEL: Final = re.compile(r"(?P<parts>.*?)(?: @(?P<size>\S+))?(?: \((?P<hint>[^)]*)\))?", re.DOTALL)
_CHANNELS: Final = re.compile(r"\d+|\d+->\d+|g\d+|\d+(?:x\d+){2,}")


@dataclass(frozen=True)
class Labelled:
    """What the label of a kernel says (`lutra.networks.lowering`).

    Attributes:
        family: what is computed, without sizes: ``Conv 3x3/2 + Clip``.
        channels: sizes that are no image's: ``3->32``; empty where there are none.
        size: of the image, or the shape: ``112``; empty where the label tells none.
    """

    family: str
    channels: str
    size: str

    @classmethod
    def of(cls, label: str) -> Self:
        """Take a label apart; one of another form is a family of its own."""
        match = _LABEL.fullmatch(label)
        assert match is not None  # every part is optional
        words = match["parts"].split(" ")
        sizes = [word for word in words if _CHANNELS.fullmatch(word)]
        family = " ".join(word for word in words if word not in sizes) or label
        hint = f" ({match['hint']})" if match["hint"] else ""
        return cls(family + hint, " ".join(sizes), match["size"] or "")


def by_size(size: str) -> tuple[bool, list[int], str]:
    """Key by which sizes are sorted: by their numbers, the unknown last."""
    return not size, [int(number) for number in re.findall(r"\d+", size)], size
