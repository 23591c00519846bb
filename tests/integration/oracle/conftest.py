# SPDX-License-Identifier: Apache-2.0
import contextlib
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), *(str(HERE.parent / name) for name in ("supervisor", "faults"))]

from model import ModelServer  # noqa: E402
from supervisor_tools import Instance  # noqa: E402
from support import remove_instance  # noqa: E402


@pytest.fixture
def model_server():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-model-"))
    folder.chmod(0o755)
    server = ModelServer(folder)
    yield server
    server.stop()
    remove_instance(folder)


@pytest.fixture
def make(model_server):
    with contextlib.ExitStack() as stack:
        def instance(config):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-oracle-"))
            folder.chmod(0o755)
            stack.callback(remove_instance, folder)
            made = Instance(folder, model_server.url)
            # A reload's trial of its configuration binds the port, too: a master that is born just
            # then finds it in use, and tries again.
            made.expected = r"bind\(\) to .* failed \(98"
            made.configure(config)
            stack.callback(made.end)
            return made
        yield instance
