# SPDX-License-Identifier: Apache-2.0
import contextlib
import pathlib
import sys
import tempfile

import pytest

for neighbour in ("supervisor", "gateway", ".."):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / neighbour))

from ledger import ModelServer  # noqa: E402
from supervisor_tools import Instance  # noqa: E402
from support import remove_instance  # noqa: E402

RATE = "{count: 10000000, per: 1s}"
LIMITS = f"limits: {{key: {RATE}, user: {RATE}, group: {RATE}, address: {RATE}}}\n"
CONNECTIONS = "overload: {new_connections_per_address: any}\n"  # 1000 at once are no flood here


@pytest.fixture(name="model_server")
def make_model_server():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-model-"))
    folder.chmod(0o755)
    server = ModelServer(folder / "nginx")
    yield server
    server.stop()
    remove_instance(folder)


@pytest.fixture(name="make")
def make_instances(model_server):
    """Makes instances with limits that no test meets by accident; each ends with the test."""
    with contextlib.ExitStack() as stack:
        def instance(config=LIMITS + CONNECTIONS, upstream=None, folder=None):
            folder = folder or pathlib.Path(tempfile.mkdtemp(prefix="dvara-faults-"))
            folder.chmod(0o755)
            stack.callback(remove_instance, folder)
            made = Instance(folder, upstream or model_server.url)
            made.configure(config)
            stack.callback(made.end)
            return made
        yield instance
