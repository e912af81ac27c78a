"""Networks by name: `build("resnet50")`, `names("mobilenet*")`.

Names are torchvision's where torchvision has the architecture, and so are the names of the nodes. Two forms take a
parameter: a width after ``_w`` (``mobilenet_v2_w0.35``) and a cell after a slash (``nasbench201/6111``).
"""

from . import (
    densenet,
    efficientnet,
    mcunet,
    mlperf_tiny,
    mobilenet,
    nasbench201,
    ofa,
    proxyless,
    resnet,
    shufflenet,
    swin,
    vgg,
    vit,
)
from ._registry import Entry, build, entry, names
from .block_list import BlockList, BlockSpec, from_config
from .nasbench201 import architecture_of

__all__ = [
    "BlockList",
    "BlockSpec",
    "Entry",
    "architecture_of",
    "build",
    "densenet",
    "efficientnet",
    "entry",
    "from_config",
    "mcunet",
    "mlperf_tiny",
    "mobilenet",
    "names",
    "nasbench201",
    "ofa",
    "proxyless",
    "resnet",
    "shufflenet",
    "swin",
    "vgg",
    "vit",
]
