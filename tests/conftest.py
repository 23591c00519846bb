# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "ocsf"))

import suite  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(suite.SUITE.summary())
    for line in suite.SUITE.unread:
        terminalreporter.write_line(f"not read: {line}")
