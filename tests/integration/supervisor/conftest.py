# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.server
import pathlib
import tempfile
import threading

import pytest

from supervisor_tools import BODY, Instance, Upstream, alive, children
from support import BUILD, free_port, remove_instance, wait_until

__all__ = ["BODY", "BUILD", "alive", "children", "free_port", "wait_until"]


@pytest.fixture(scope="session")
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def make(upstream):
    """Makes instances; each ends with the test."""
    with contextlib.ExitStack() as stack:
        def instance(mode=0o755, prefix=()):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-test-"))
            folder.chmod(mode)
            stack.callback(remove_instance, folder)
            made = Instance(folder, upstream, prefix)
            stack.callback(made.end)
            return made
        yield instance


@pytest.fixture
def dvara(make):
    made = make()
    made.up()
    return made
