# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of a test's own, and who asks it."""
import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from support import free_port

PASSWORD = "topsecret"


def as_postgres(*command):
    """Programs of PostgreSQL refuse to run as root."""
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    return {"args": command, **other}


class Server:
    """The owner may do everything; the others have the passwords that they were given."""

    def __init__(self, port, control):
        self.port = port
        self.control = control
        self.secrets = {"owner": PASSWORD}

    def url(self, database, user="owner"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def environment(self, user="owner"):
        return {**os.environ, "PGPASSWORD": self.secrets[user]}

    def ask(self, database, text, user="owner"):
        words = ["psql", "-Atq", "-v", "ON_ERROR_STOP=1", self.url(database, user)]
        done = subprocess.run(words, input=text, text=True, capture_output=True, check=False,
                              env=self.environment(user))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def session(self, database, user="owner"):
        """psql that stays open: what is written to its standard input it does."""
        return subprocess.Popen(["psql", "-Atq", self.url(database, user)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, bufsize=1, env=self.environment(user))


@contextlib.contextmanager
def server():
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvara-pg-"))
    port = free_port()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(**as_postgres(programs / "initdb", "-D", folder / "data", "-U", "owner", "-A", "scram-sha-256",
                                 "--no-sync", f"--pwfile={folder}/password"), **quiet)
    control = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run(**as_postgres(*control, "-o", options, "-l", folder / "log", "start"), **quiet)
    try:
        yield Server(port, control)
    finally:
        subprocess.run(**as_postgres(*control, "-m", "immediate", "stop"), **quiet)
        shutil.rmtree(folder)
