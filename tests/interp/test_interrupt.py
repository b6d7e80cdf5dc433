"""Ctrl-C from the first import on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

STARTED = "import os, sys; os.write(1, b'.'); sys.argv[1:] = {arguments!r}; "
RUN = "from interp.__main__ import main; main()"


@pytest.mark.parametrize("seed", range(5))
def test_ctrl_c_while_libraries_are_imported_is_one_sentence(seed: int) -> None:
    """The first byte of output says that Python is up; what follows are the command's imports."""
    arguments = ["match", "newton-exact", "--prompts", "4096"]
    code = STARTED.format(arguments=arguments) + "import interp.__main__; os.write(1, b'.'); " + RUN
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1) == b"."
        assert os.read(process.stdout.fileno(), 1) == b"."
        time.sleep(random.Random(seed).uniform(0.05, 2.0))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    lines = [line for line in errors.decode().splitlines() if line]
    assert process.returncode == 130
    assert lines[-1] == "interp: interrupted"
    assert not any("Traceback" in line for line in lines)
