"""The accelerator of the message-head parser, built where that is possible; everything else is in pyproject.toml.

In place: `python setup.py build_ext --inplace`. With SLUICE_PURE=1 nothing is built.
"""

import os

from setuptools import Extension, setup

SOURCE = "proxy/http1/_head.pyx"


def extensions() -> list[Extension]:
    """The extension, or nothing without Cython; where compiling fails, the plain parser is left."""
    if os.environ.get("SLUICE_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize  # noqa: PLC0415 only where it is there
    except ImportError:
        return []
    # -O3 for the vectors that count control characters.
    modules: list[Extension] = cythonize([Extension("proxy.http1._head", [SOURCE], extra_compile_args=["-O3"])])
    for module in modules:
        module.optional = True  # cythonize makes new extensions and forgets it
    return modules


setup(ext_modules=extensions())
