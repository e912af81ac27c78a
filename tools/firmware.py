"""Builds the int8 kernels for every microcontroller core, or checks that the shipped images are what the sources make.

    python tools/firmware.py            writes profiler/mcu/firmware/<core>.elf and manifest.json
    python tools/firmware.py --check    builds elsewhere and compares hashes

Needs the pinned compiler of the extra ``firmware`` (`pip install 'lutra[firmware]'`); nothing else, and no network.
The images do not depend on the path of the sources.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "csrc" / "mcu" / "firmware"
IMAGES: Final = ROOT / "profiler" / "mcu" / "firmware"
MANIFEST: Final = "manifest.json"

COMPILER: Final = "0.17.1"
"""The version of ziglang (clang 22) that made the shipped images; another one makes other bytes."""

TEXT_LIMIT_BYTES: Final = 20_000

TARGETS: Final = {
    "m0plus": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus", "-fropi"),
    "m3": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3", "-fropi"),
    "m4": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-fropi"),
    "m33": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m33+dsp", "-fropi"),
    "m7": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m7", "-fropi"),
    "rv32imc": ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c", "-mcmodel=medany"),
}

FLAGS: Final = (
    "-std=c17",
    "-O2",
    # An unrolled loop that overflows the 1 KB instruction cache of an STM32F4 is slower than the plain one; what pays
    # is unrolled by hand in the sources.
    "-fno-unroll-loops",
    # A freestanding target turns a memcpy of four bytes into a call, and keeps the frame pointer.
    "-fhosted",
    "-fomit-frame-pointer",
    "-fno-sanitize=all",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
    "-g0",
    "-Wall",
    "-Wextra",
    "-Werror",
)

LINK_FLAGS: Final = ("-T", "firmware.ld", "--gc-sections", "--discard-all", "-z", "max-page-size=4")


def build_image(core: str, directory: Path) -> Path:
    """Compiles and links the kernels for one core into ``directory``."""
    image = directory / f"{core}.elf"
    objects = [_compile(core, source, directory) for source in sorted(SOURCES.glob("*.c"))]
    _zig("ld.lld", *LINK_FLAGS, *map(str, objects), "-o", str(image), cache=directory)
    for path in objects:
        path.unlink()
    return image


def _compile(core: str, source: Path, directory: Path) -> Path:
    made = directory / f"{source.stem}.o"
    _zig("cc", *TARGETS[core], *FLAGS, "-c", source.name, "-o", str(made), cache=directory)
    return made


def _zig(*arguments: str, cache: Path) -> None:
    # Relative names and a cache of its own: no path of this machine gets into an image, no old object into a build.
    caches = {f"ZIG_{which}_CACHE_DIR": str(cache / "zig-cache") for which in ("GLOBAL", "LOCAL")}
    command = [sys.executable, "-m", "ziglang", *arguments]
    subprocess.run(command, cwd=SOURCES, env=os.environ | caches, check=True)


def text_bytes(image: Path) -> int:
    """Bytes that an image loads into flash: code and constants."""
    elf = image.read_bytes()
    table, entry, count = (int.from_bytes(elf[at : at + n], "little") for at, n in ((28, 4), (42, 2), (44, 2)))
    headers = [elf[table + i * entry : table + (i + 1) * entry] for i in range(count)]
    return sum(int.from_bytes(h[16:20], "little") for h in headers if int.from_bytes(h[:4], "little") == 1)


def manifest(images: dict[str, Path]) -> dict[str, Any]:
    """What the images are and how they were made."""
    return {
        "compiler": f"ziglang {COMPILER}",
        "flags": [*FLAGS],
        "link_flags": [*LINK_FLAGS],
        "images": {
            core: {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "text_bytes": text_bytes(path),
                "target": " ".join(TARGETS[core]),
            }
            for core, path in images.items()
        },
    }


def build(directory: Path) -> dict[str, Any]:
    """Builds all images into ``directory`` with their manifest beside them, which it returns."""
    made = manifest({core: build_image(core, directory) for core in TARGETS})
    for core, image in made["images"].items():
        if image["text_bytes"] > TEXT_LIMIT_BYTES:
            raise SystemExit(f"{core}: {image['text_bytes']} bytes of code; the limit is {TEXT_LIMIT_BYTES}")
    (directory / MANIFEST).write_text(json.dumps(made, indent=2) + "\n")
    return made


def differences(made: dict[str, Any], shipped: dict[str, Any]) -> list[str]:
    """What of a fresh build is not as it was shipped, a line each."""
    lines = [f"{key} differ" for key in ("compiler", "flags", "link_flags") if made[key] != shipped.get(key)]
    known = shipped.get("images", {})
    return lines + [f"{core}.elf differs" for core, image in made["images"].items() if known.get(core) != image]


def check() -> int:
    """0 where the shipped images and their manifest are what the sources make."""
    shipped = json.loads((IMAGES / MANIFEST).read_text())
    stale = [
        f"{core}.elf is not the one in {MANIFEST}"
        for core, image in shipped["images"].items()
        if hashlib.sha256((IMAGES / f"{core}.elf").read_bytes()).hexdigest() != image["sha256"]
    ]
    with TemporaryDirectory() as directory:
        stale += differences(build(Path(directory)), shipped)
    for line in stale:
        print(line, file=sys.stderr)  # noqa: T201
    return int(bool(stale))


def require_compiler() -> None:
    """Ends the program with the fix where the pinned compiler is not there."""
    try:
        found = version("ziglang")
    except PackageNotFoundError:
        found = "none"
    if found != COMPILER:
        raise SystemExit(f"needs ziglang {COMPILER}, found {found}; fix: pip install 'ziglang=={COMPILER}'")


def main() -> int:
    """Builds or checks, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the shipped images; exit 1 on a difference")
    arguments = parser.parse_args()
    require_compiler()
    if arguments.check:
        return check()
    with TemporaryDirectory() as directory:
        build(Path(directory))
        IMAGES.mkdir(exist_ok=True)
        for name in (MANIFEST, *(f"{core}.elf" for core in TARGETS)):
            (IMAGES / name).write_bytes((Path(directory) / name).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
