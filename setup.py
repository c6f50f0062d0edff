"""The hot modules, compiled where that is possible; everything else is in pyproject.toml.

In place: `python setup.py build_ext --inplace`. With SLUICE_PURE=1 nothing is built.
"""

import os
import runpy
from pathlib import Path

from setuptools import Extension, setup

MODULES: tuple[str, ...] = runpy.run_path("proxy/_compiled.py")["MODULES"]

VECTORS = ("proxy.http1._head",)
"""Where -O3 counts control characters 16 at a time; the others are no quicker for it, and take longer to compile."""


def extensions() -> list[Extension]:
    """The extensions, or nothing without Cython; where compiling fails, the plain modules are left."""
    if os.environ.get("SLUICE_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize  # noqa: PLC0415 only where it is there
        from Cython.Compiler import Errors  # noqa: PLC0415
    except ImportError:
        return []
    Errors.LEVEL = 2  # it would have annotations without quotes, which Python resolves at once
    modules: list[Extension] = cythonize(
        [
            Extension(name, [source(name)], extra_compile_args=["-O3" if name in VECTORS else "-O2", "-g0"])
            for name in MODULES
        ],
        nthreads=os.cpu_count() or 1,
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "annotation_typing": True},
    )
    for module in modules:
        module.optional = True  # cythonize makes new extensions and forgets it
    return modules


def source(name: str) -> str:
    """Its file, from here."""
    path = Path(*name.split("."))
    return str(path.with_suffix(".pyx" if path.with_suffix(".pyx").exists() else ".py"))


setup(ext_modules=extensions(), options={"build_ext": {"parallel": os.cpu_count() or 1}})
