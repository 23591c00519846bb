# SPDX-License-Identifier: Apache-2.0
import signal

import pytest

from witness_tools import Log, Witness, end, made_folder


@pytest.fixture
def make(tmp_path):
    """Makes logs and witnesses, and ends what still runs."""
    made = []

    def add(kind, name, *words):
        one = kind(tmp_path / name, *words) if kind is Witness else kind(made_folder(tmp_path / name))
        made.append(one)
        return one

    yield add
    for one in made:
        left = one.processes.values() if isinstance(one, Log) else [one.process]
        for process in left:
            if process is not None and process.poll() is None:
                end(process, signal.SIGKILL)


@pytest.fixture
def log(make):
    return make(Log, "log")


@pytest.fixture
def witness(make):
    return make(Witness, "witness")
