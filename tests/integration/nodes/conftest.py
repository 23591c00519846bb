# SPDX-License-Identifier: Apache-2.0
import contextlib
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "supervisor"))

from nodes_tools import Node  # noqa: E402 (found only now)


@pytest.fixture(scope="module")
def nodes():
    """Two nodes: a keeps a copy of b's logs, of which there are two, and searches both."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("a", "b"):
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f"dvara-node-{name}-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            made.append(Node(folder))
            stack.callback(made[-1].end)
        a, b = made
        b.configure("audit: {retention: {classes: [{name: requests, kinds: ['request.*'], keep: 90d}]}}")
        a.up()
        b.up()
        a.knows(b.described("b", a))
        yield a, b
