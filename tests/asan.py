"""Every byte that the compiled modules touch, looked at: `make asan`.

Compiles them once more, under AddressSanitizer and in a folder of its own, and runs what feeds them bytes: the tests of
messages, of the data plane's parts, and the properties that hold the head parser against its reference, with many more
examples. Python's own allocator is off, so that reading one byte beyond a request is seen. Needs gcc with libasan.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = "-fsanitize=address -fno-omit-frame-pointer"
TESTS = (
    "tests/protocol",
    "tests/property/test_head_agreement.py",
    "tests/property/test_head_paths.py",
    "tests/unit/http1",
    "tests/unit/dataplane",
)


def library() -> str:
    """Where the sanitizer's runtime is, which has to be loaded before all else; empty where there is none."""
    if shutil.which("gcc") is None:
        return ""
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    return str(path.resolve()) if path.is_absolute() and path.exists() else ""


def main() -> int:
    """Compile and run; the status of the tests. Where it can't be had, say so and let it be."""
    runtime = library()
    if not runtime:
        print("gcc or its libasan is not here, so nothing was looked at; e.g. apt-get install gcc libc6-dev")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("proxy", "tests"):
            ignore = shutil.ignore_patterns("__pycache__", "*.so", "_head.c")
            shutil.copytree(ROOT / name, Path(folder, name), ignore=ignore)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        environ = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": ""}
        build = {**environ, "CFLAGS": SANITIZE, "LDFLAGS": SANITIZE}
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, env=build, check=True)
        environ |= {
            "LD_PRELOAD": runtime,
            # The interpreter leaves much to the end of the process. pytest would swallow a report on stderr.
            "ASAN_OPTIONS": f"detect_leaks=0:log_path={folder}/report",
            "PYTHONMALLOC": "malloc",
        }
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=many", *TESTS]
        said = f"import proxy; assert proxy.BUILD == 'accelerated' and proxy.__file__.startswith({folder!r})"
        subprocess.run([sys.executable, "-c", said], cwd=folder, env=environ, check=True)
        status = subprocess.run(pytest, cwd=folder, env=environ, check=False).returncode
        for report in Path(folder).glob("report.*"):
            print(f"\n{report.read_text()}")
        return status


if __name__ == "__main__":
    sys.exit(main())
