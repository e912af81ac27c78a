"""Images named on the command line, of the size that a network reads."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..nas.accuracy import ImageSet
    from ..networks import Network


def side_of(network: "Network") -> int:
    """Height and width of the images that a network reads."""
    return int(network.inputs[0][1].shape[-1])


@cache
def loaded(data: str, side: int) -> "ImageSet":
    """Images scaled to a size, decoded once; the arrays of an .npz file are taken as they are.

    Raises:
        ImageDataError: as `lutra.nas.accuracy.load_images`.
    """
    from ..nas.accuracy import load_images

    return load_images(data, size=None if data.endswith(".npz") else side)


def images_for(network: "Network", data: str) -> "ImageSet":
    """Images for a network, before anything is trained.

    Raises:
        ImageDataError: as `lutra.nas.accuracy.load_images`.
        UsageError: arrays of another size, or more classes than the network knows.
    """
    from ..networks.errors import UsageError

    found, side = loaded(data, side_of(network)), side_of(network)
    classes = network.types[network.outputs[0]].shape[-1]
    try:
        found.require_fit(network)
    except UsageError as error:
        hint = f"give pictures, which are scaled, or arrays of {side} x {side} pixels; of at most {classes} classes"
        raise UsageError(error.message, hint=hint) from None
    return found
