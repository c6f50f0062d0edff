"""The accelerator of the message-head parser, built where that is possible; everything else is in pyproject.toml.

In place: `python setup.py build_ext --inplace`. With SLUICE_PURE=1 nothing is built.
"""

import os

from setuptools import Extension, setup


def extensions() -> list[Extension]:
    """The extension, or nothing without Cython; `optional` lets a failing compiler leave the plain parser."""
    if os.environ.get("SLUICE_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize  # noqa: PLC0415 only where it is there
    except ImportError:
        return []
    # -O3 for the vectors that count control characters.
    accelerator = Extension("proxy.http1._head", ["proxy/http1/_head.pyx"], optional=True, extra_compile_args=["-O3"])
    modules: list[Extension] = cythonize([accelerator])
    return modules


setup(ext_modules=extensions())
