# SPDX-License-Identifier: Apache-2.0
"""What the processes beside the gate acknowledged: lines that dvara-collect took, events that
dvara-export wrote, checkpoints that a witness cosigned. Held against the log in the end."""
import collections
import http.client
import json
import pathlib
import sys
import threading

from support import free_port, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "witness"))

from witness_tools import Witness  # noqa: E402 (found only now)

TOKEN = "a-token-of-the-test"


class Lines(threading.Thread):
    """A program that writes a log file, and one that posts lines and never asks twice."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.file, self.token = folder / "program.log", folder / "token"
        self.file.write_text("")
        self.token.write_text(TOKEN + "\n")
        self.port = free_port()
        self.written, self.posted, self.acknowledged = [], [], []
        self.ending = threading.Event()

    def section(self):
        return [{"type": "file", "path": str(self.file)},
                {"type": "http", "listen": f"127.0.0.1:{self.port}", "token_file": str(self.token)}]

    def write(self, out):
        lines = [f"written-{len(self.written) + i}" for i in range(5)]
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()
        self.written += lines

    def post(self):
        lines = [f"posted-{len(self.posted) + i}" for i in range(3)]
        self.posted += lines
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/", "".join(f"{line}\n" for line in lines),
                               {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/plain"})
            answer = connection.getresponse()
            text = answer.read()
            taken = len(lines) if answer.status == 200 else json.loads(text).get("taken", 0)
            self.acknowledged += lines[:taken]
        except (OSError, http.client.HTTPException, ValueError):
            self.ending.wait(0.05)  # it is down, and nobody knows what it took
        finally:
            connection.close()

    def run(self):
        with self.file.open("a") as out:
            while not self.ending.wait(0.025):
                self.write(out)
                self.post()

    def end(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive()

    def check_written(self, came):
        missing = sorted(set(self.written) - set(came))
        twice = [line for line, count in collections.Counter(came).items() if count > 1]
        order = [(one, other) for one, other in zip(came, self.written) if one != other]
        assert not missing and not twice, f"{len(missing)} are missing, {missing[:5]}; twice: {twice[:5]}"
        assert not order, f"out of order: {order[:5]}"

    def check(self, events):
        """Each line of the file once and in order; each that was acknowledged over HTTP once."""
        raw = [event.get("raw_data", "") for event in events
               if event["metadata"].get("event_code", "").startswith("collected.")]
        self.check_written([line for line in raw if line.startswith("written-")])
        posted = [line for line in raw if line.startswith("posted-")]
        assert len(set(posted)) == len(posted), "a posted line is there twice"
        assert not set(self.acknowledged) - set(posted), "posted lines that were acknowledged are gone"
        assert self.acknowledged, "no line was acknowledged"


class Others:
    """Lines, a destination, a witness: what dvara.yaml says of them, and what became of them."""

    def __init__(self, folder):
        self.lines = Lines(folder)
        self.witness = Witness(folder / "witness")
        (folder / "out").mkdir(mode=0o777)
        (folder / "out").chmod(0o777)  # dvara-export is somebody else where root starts Dvara
        self.exported = folder / "out" / "events.jsonl"

    def section(self):
        """For dvara.yaml; JSON is YAML, too."""
        return "audit: " + json.dumps({
            "collect": self.lines.section(), "collect_keep_free": "1MiB",
            "export": [{"name": "all", "type": "file", "path": str(self.exported)}],
            "witnesses": [{"url": self.witness.url, "key": self.witness.key}], "witness_interval": "1s",
        }) + "\n"

    def start(self, dvara):
        self.witness.knows(dvara.json("audit", "checkpoint")["vkey"]).start()
        self.lines.start()

    def kill_witness(self):
        self.witness.stop(9)
        self.witness.start()

    def stop(self):
        if self.witness.process is not None:
            self.witness.stop()

    def ids(self):
        """What stands in the file, by id; a line that a kill cut is no line."""
        found = {}
        for line in self.exported.read_text().splitlines():
            event = json.loads(line)
            uid = event["metadata"].pop("uid")
            assert found.setdefault(uid, event) == event, f"{uid} is there twice and not the same"
        return found

    def check(self, dvara, read):
        """Long after: all lines, every event at the destination, the log cosigned."""
        last = self.lines.written[-1]
        wait_until(lambda: any(event.get("raw_data") == last for event in read()), 20, "the last line has come")
        events = list(read())
        self.lines.check(events)
        collectors = dvara.json("audit", "collectors")
        assert collectors["running"] and [one["name"] for one in collectors["inputs"]], collectors
        wanted = len(events)
        wait_until(lambda: len(self.ids()) >= wanted, 30, "the rest is exported")
        places = sorted(int(uid.rsplit("#", 1)[1]) for uid in self.ids())
        assert places[:wanted] == list(range(wanted)), "an event was not exported"
        wait_until(lambda: dvara.json("audit", "witnesses")["cosigned"] >= wanted, 20, "the log is cosigned")
        rules = {event["finding_info"]["title"] for event in events
                 if event["metadata"].get("event_code") == "alarm" and "audit.witness" in json.dumps(event)}
        assert not rules, rules
