"""Where NVIDIA's libraries are: beside torch's or the user's own wheels, or part of the system. Nothing is loaded here.

The native loader takes what is in the process already, then the paths found here, then the names by which the system
knows them (`csrc/gpu/shared_library.hpp`).
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "LUTRA_CUDA_PATH"
"""Environment variable: a folder whose libraries are taken before all others, those in the process included."""

NEWEST: Final = 13
"""Newest major version of CUDA whose libraries are looked for; `OLDEST` is the other end."""

OLDEST: Final = 12

_SYSTEM = (
    *("/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"),
    *("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64"),
)


@dataclass(frozen=True)
class Library:
    """One of NVIDIA's libraries.

    Attributes:
        name: what people call it.
        names: for the dynamic linker, best first.
        paths: files found, best first.
        package: what brings it, for ``pip install``; "" for the driver and what comes with it.
        found: whether any file was found.
    """

    name: str
    names: tuple[str, ...]
    paths: tuple[str, ...]
    package: str
    found: bool

    @property
    def places(self) -> tuple[list[str], list[str]]:
        """As the native loader takes them."""
        return list(self.names), list(self.paths)


def find_libraries(major: int = NEWEST) -> dict[str, Library]:
    """NVIDIA's libraries by short name: "driver", "nvml", "nvrtc", "builtins", "cublaslt", "cudnn".

    Args:
        major: newest major version of CUDA that may be used, which is that of the driver; older ones are the second
            choice.
    """
    majors = range(min(major, NEWEST), OLDEST - 1, -1) or range(OLDEST, OLDEST + 1)
    suffix = "" if major >= NEWEST else f"-cu{majors[0]}"
    return {
        "driver": _library("NVIDIA's driver", ["libcuda.so.1"], ""),
        "nvml": _library("NVIDIA's management library", ["libnvidia-ml.so.1"], ""),
        "nvrtc": _library("NVRTC", [f"libnvrtc.so.{m}" for m in majors], f"nvidia-cuda-nvrtc{suffix}"),
        "builtins": _library("NVRTC's built-ins", [f"libnvrtc-builtins.so.{m}" for m in majors], "", versioned=True),
        "cublaslt": _library("cuBLASLt", [f"libcublasLt.so.{m}" for m in majors], f"nvidia-cublas{suffix}"),
        "cudnn": _library("cuDNN", ["libcudnn.so.9"], f"nvidia-cudnn-cu{majors[0]}"),
    }


def cudnn_parts(library: Library) -> list[str]:
    """The libraries that cuDNN consists of, beside the one that was found first.

    They are opened before it opens them by name, or it may find those of another version
    (`SUBLIBRARY_VERSION_MISMATCH`).
    """
    if not library.paths:
        return []
    parts = sorted(map(str, Path(library.paths[0]).parent.glob("libcudnn_*.so.9")))
    # The graph part comes first: the others are linked to it.
    return sorted(parts, key=lambda path: "libcudnn_graph" not in path)


def _library(name: str, names: list[str], package: str, *, versioned: bool = False) -> Library:
    chosen = os.environ.get(FOLDER_VARIABLE)
    forced = [str(path) for wanted in names for path in _files(Path(chosen), wanted, versioned)] if chosen else []
    if forced:
        return Library(name, (), tuple(forced), package, True)
    paths = [str(path) for wanted in names for folder in _folders() for path in _files(folder, wanted, versioned)]
    return Library(name, tuple(names), tuple(dict.fromkeys(paths)), package, bool(paths))


def _files(folder: Path, name: str, versioned: bool) -> list[Path]:
    """The library in a folder; ``versioned`` names go on with a minor version."""
    if versioned:
        return sorted(folder.glob(f"{name}.*"), reverse=True)
    path = folder / name
    return [path] if path.exists() else []


def _folders() -> list[Path]:
    linked = [Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    return [*_wheels(), *linked, *map(Path, _SYSTEM)]


def _wheels() -> list[Path]:
    """Folders of the ``nvidia`` packages: ``nvidia/cu13/lib`` and the like, ``nvidia/cublas/lib`` and the like."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
    return [folder for root in roots for folder in sorted(root.glob("*/lib"), reverse=True)]
