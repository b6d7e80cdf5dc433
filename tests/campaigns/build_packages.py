"""The wheel and the source distribution: built, of moderate size, working outside the repository.

`python tests/campaigns/build_packages.py` builds both; with `--install` it installs the wheel with
all its dependencies into an empty environment, which takes minutes, and runs a command there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LARGEST_WHEEL = 20 * 10**6
"""Bytes. Larger checkpoints go into a second wheel that the package `icl-interp` does not need."""


def run(*command: object, folder: Path) -> None:
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


def main() -> None:
    """Builds, measures and tries."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--install", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "pip", "install", "-q", "--target", folder / "tools", "build",
            folder=folder)  # fmt: skip
        path = str(folder / "tools")
        build = f"import sys; sys.path.insert(0, {path!r}); import build.__main__ as b"
        code = f"{build}; b.main([{str(REPOSITORY)!r}, '--outdir', 'dist'])"
        run(sys.executable, "-c", code, folder=folder)
        files = {path.suffix: path for path in (folder / "dist").iterdir()}
        for path in files.values():
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        if files[".whl"].stat().st_size > LARGEST_WHEEL:
            sys.exit(f"the wheel is larger than {LARGEST_WHEEL / 1e6:.0f} MB")
        if options.install:
            venv.create(folder / "empty", with_pip=True)
            bin_folder = folder / "empty" / "bin"
            run(bin_folder / "pip", "install", "-q", files[".whl"], folder=folder)
            run(bin_folder / "interp", "zoo", folder=folder)
            run(bin_folder / "interp", "match", "newton-exact", "--prompts", "128", folder=folder)


if __name__ == "__main__":
    main()
