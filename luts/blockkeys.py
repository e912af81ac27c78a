"""What the keys of the field's tables say, and the keys that a network of a search space asks for.

Three grammars: once-for-all and ProxylessNAS (``expanded_conv-input:112x112x16-output:56x56x24-expand:3-...``), TF-NAS
(``MBInvertedResBlock_112_16_0_24_k3_s2_relu``) and HW-NAS-Bench (``ConvBlock_H112_W112_Cin16_Cout24_exp6_...``).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from ..networks.errors import UsageError

_NUMBER: Final = "[0-9]{1,6}"
_OFA: Final = re.compile(
    rf"(?P<op>[A-Za-z]\w*)-input:(?P<input>{_NUMBER}(?:x{_NUMBER}){{0,2}})-output:(?P<output>{_NUMBER}(?:x{_NUMBER}){{0,2}})"
    rf"(?:-expand:(?P<expand>{_NUMBER}))?(?:-kernel:(?P<kernel>{_NUMBER}))?(?:-stride:(?P<stride>{_NUMBER}))?"
    r"(?:-idskip:(?P<idskip>[01]))?(?:-se:(?P<se>[01]))?(?:-hs:(?P<hs>[01]))?",
    re.ASCII,
)
_TF_NAS: Final = re.compile(
    rf"(?P<op>[A-Za-z][A-Za-z0-9]*)_(?P<size>{_NUMBER})_(?P<cin>{_NUMBER})_(?P<se>{_NUMBER})_(?P<cout>{_NUMBER})"
    rf"_k(?P<kernel>{_NUMBER})_s(?P<stride>{_NUMBER})_(?P<act>[a-z0-9]+)",
    re.ASCII,
)
_HW_NAS: Final = re.compile(rf"(?P<op>[A-Za-z]+)(?P<fields>(?:_[A-Za-z]+{_NUMBER})+)", re.ASCII)
_HW_NAS_FIELDS: Final = {
    "H": "height",
    "W": "width",
    "Cin": "in_channels",
    "Cout": "out_channels",
    "exp": "expand",
    "kernel": "kernel",
    "stride": "stride",
    "group": "groups",
}
BASE: Final = "base"
"""TF-NAS's key for all of a network that is not searched."""


def parse_ofa(key: str) -> dict[str, Any]:
    """Say what a key of once-for-all or ProxylessNAS means.

    ``expand`` is a ratio in ProxylessNAS's keys; in those of once-for-all, which end in ``se`` and ``hs``, the same
    word holds the channels in the middle, and is given as ``mid`` here.

    Raises:
        UsageError: not such a key.
    """
    found = _OFA.fullmatch(key)
    if found is None:
        raise _malformed(key, "op-input:HxWxC-output:HxWxC[-expand:E-kernel:K-stride:S-idskip:I[-se:0-hs:0]]")
    fields: dict[str, Any] = {name: int(text) for name, text in found.groupdict().items() if text and text.isdigit()}
    shapes = {name: [int(size) for size in found[name].split("x")] for name in ("input", "output")}
    if "se" in fields and "expand" in fields:
        fields["mid"] = fields.pop("expand")
    return {"op": found["op"]} | fields | shapes


@lru_cache(maxsize=1024)
def parse_tf_nas(key: str) -> Mapping[str, Any]:
    """Say what a key of TF-NAS means.

    Raises:
        UsageError: not such a key.
    """
    if key == BASE:
        return MappingProxyType({"op": BASE})
    found = _TF_NAS.fullmatch(key)
    if found is None or int(found["stride"]) < 1:
        raise _malformed(key, "NAME_SIZE_IN_SE_OUT_kK_sS_ACT, or base")
    size, stride = int(found["size"]), int(found["stride"])
    after = -(-size // stride)
    attributes = {
        "op": found["op"],
        "input": [size, size, int(found["cin"])],
        "output": [after, after, int(found["cout"])],
        "se_channels": int(found["se"]),
        "kernel": int(found["kernel"]),
        "stride": stride,
        "act": found["act"],
    }
    return MappingProxyType(attributes)


def parse_hw_nas_bench(key: str) -> dict[str, Any]:
    """Say what a key of HW-NAS-Bench's tables of ops means.

    Raises:
        UsageError: not such a key.
    """
    found = _HW_NAS.fullmatch(key)
    pairs = re.findall(rf"_([A-Za-z]+)({_NUMBER})", found["fields"]) if found else []
    names = [name for name, _ in pairs]
    if found is None or len(set(names)) != len(names) or not set(names) <= set(_HW_NAS_FIELDS):
        raise _malformed(key, "NAME_H1_W1_Cin1_Cout1_exp1_kernel1_stride1_group1, or some of these")
    return {"op": found["op"]} | {_HW_NAS_FIELDS[name]: int(number) for name, number in pairs}


def _malformed(key: str, form: str) -> UsageError:
    shown = key if len(key) <= 100 else f"{key[:100]}..."
    return UsageError(f"malformed key {shown!r}", hint=f"keys are of the form {form}")


# -- networks as lists of keys -----------------------------------------------------------------------------


def conv_key(op: str, before: Sequence[int], after: Sequence[int]) -> str:
    """Return the key of a plain layer: ``Conv-input:224x224x3-output:112x112x32``."""
    return f"{op}-input:{_shape(before)}-output:{_shape(after)}"


def expanded_conv_key(before: Sequence[int], after: Sequence[int], *, tail: Mapping[str, int], expand: int) -> str:
    """Return the key of an inverted bottleneck.

    Args:
        before: height, width, channels.
        after: the same of the output.
        expand: ratio, or channels where ``tail`` holds ``se`` and ``hs``.
        tail: ``kernel``, ``stride``, ``idskip`` and, for once-for-all, ``se`` and ``hs``.
    """
    named = "".join(f"-{name}:{value}" for name, value in tail.items())
    return f"{conv_key('expanded_conv', before, after)}-expand:{expand}{named}"


def network_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys whose rows add up to the latency of a network of once-for-all or ProxylessNAS, in its order.

    Args:
        config: ``family`` (``"MobileNetV3"`` or ``"ProxylessNASNets"``), ``image_size``, ``stem``, ``blocks``,
            ``final_expand`` (the former only), ``feature_mix`` and ``classifier``; a block has ``cin``, ``cout``,
            ``k``, ``s``, ``e``, ``mid``, ``act``, ``se`` and ``skip``.

    Raises:
        UsageError: another family, or something is missing.
    """
    family = config.get("family")
    if family not in ("MobileNetV3", "ProxylessNASNets"):
        raise UsageError(f"the network's family is {family!r}", hint="use MobileNetV3 or ProxylessNASNets")
    try:
        return _network_keys(config, wide=family == "MobileNetV3")
    except (KeyError, TypeError) as error:
        raise UsageError(f"the network lacks {error}", hint="give stem, blocks, feature_mix and classifier") from error


def _network_keys(config: Mapping[str, Any], *, wide: bool) -> list[str]:
    size, channels = config["image_size"], config["stem"]["cout"]
    before = (size, size, 3)
    size = -(-size // config["stem"]["s"])
    keys = [conv_key("Conv", before, (size, size, channels))]
    for block in config["blocks"]:
        before = (size, size, block["cin"])
        size = -(-size // block["s"])
        tail = {"kernel": block["k"], "stride": block["s"], "idskip": int(block["skip"])}
        if wide:
            tail |= {"se": int(block["se"]), "hs": int(block["act"] == "h_swish")}
        after = (size, size, block["cout"])
        keys.append(expanded_conv_key(before, after, expand=block["mid" if wide else "e"], tail=tail))
    return keys + (_wide_tail(config, size) if wide else _narrow_tail(config, size))


def _wide_tail(config: Mapping[str, Any], size: int) -> list[str]:
    last, mix, classes = config["final_expand"], config["feature_mix"], config["classifier"]["cout"]
    return [
        conv_key("Conv_1", (size, size, last["cin"]), (size, size, last["cout"])),
        conv_key("AvgPool2D", (size, size, last["cout"]), (1, 1, last["cout"])),
        conv_key("Conv_2", (1, 1, mix["cin"]), (1, 1, mix["cout"])),
        conv_key("Logits", (1, 1, mix["cout"]), (classes,)),
    ]


def _narrow_tail(config: Mapping[str, Any], size: int) -> list[str]:
    mix, classes = config["feature_mix"], config["classifier"]["cout"]
    return [
        conv_key("Conv_1", (size, size, mix["cin"]), (size, size, mix["cout"])),
        conv_key("Logits", (size, size, mix["cout"]), (classes,)),
    ]


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
