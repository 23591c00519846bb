# SPDX-License-Identifier: Apache-2.0
import re
import time

import pytest

from gateway_tools import Gate, Upstream

BAD_LOG = re.compile(r"\[(alert|crit|emerg)\]|AddressSanitizer|runtime error|LeakSanitizer")


@pytest.fixture(scope="session")
def upstream():
    server = Upstream()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture()
def make_gate(upstream, tmp_path):
    """Makes gates of one's own; every one must end without an alarm in nginx's log."""
    made = []

    def make(server=upstream, **names):
        gate = Gate(tmp_path / f"gate{len(made)}", server, **names)
        made.append(gate)
        return gate
    upstream.echo()
    yield make
    for gate in made:
        gate.stop()
        assert not BAD_LOG.search(gate.errors()), gate.errors()


@pytest.fixture(scope="module")
def shared_gate(upstream, tmp_path_factory):
    gate = Gate(tmp_path_factory.mktemp("gate"), upstream)
    try:
        gate.alice = gate.key()
        yield gate
    finally:
        gate.stop()
    assert not BAD_LOG.search(gate.errors()), gate.errors()


@pytest.fixture()
def gate(shared_gate, upstream):
    """One gate for all tests of a file that leave it as it is."""
    upstream.echo()
    upstream.requests.clear()
    time.sleep(0.01)  # nginx takes notice of connections that the last test's upstream closed
    return shared_gate
