# SPDX-License-Identifier: Apache-2.0
"""`dvara audit tail --follow` shows events while they happen, in every format (AUD-7.1.4)."""
import subprocess
import threading

import pytest

from conftest import BUILD, wait_until


@pytest.mark.parametrize("output", ["table", "jsonl", "json", "yaml"])
def test_followed_events_are_printed_as_they_come(dvara, output):
    follower = subprocess.Popen([BUILD / "dvara", "audit", "tail", "--follow", "--output", output],
                                env=dvara.env, stdout=subprocess.PIPE, text=True)
    seen = []
    threading.Thread(target=lambda: seen.extend(follower.stdout), daemon=True).start()
    name = f"follow-{output}"
    try:
        wait_until(lambda: seen, 10, "nothing was printed")
        dvara.run("user", "create", "--name", name)
        wait_until(lambda: name in "".join(seen), 10, "the new event was not printed")
        assert follower.poll() is None
    finally:
        follower.terminate()
        follower.wait(10)
