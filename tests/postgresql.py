"""A PostgreSQL of the tests' own: made, used and thrown away."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

PASSWORD = "marker-ünd-$ecret:/@#?"  # of the user reader; it must never be seen again


def programs():
    """The folder of initdb and pg_ctl; none if there is no PostgreSQL here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found += [Path(path).resolve() for path in [shutil.which("initdb")] if path]
    return found[-1].parent if found else None


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """host, port : where it listens; admin : a connection of its owner, each statement for itself."""

    def __init__(self, folder, port):
        self.folder, self.host, self.port = folder, "127.0.0.1", port
        self.admin = self.connect("postgres")

    def connect(self, database):
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="owner", dbname=database, autocommit=True
        )

    def address(self, table, *, user="reader", database="shop"):
        return f"postgresql://{user}@{self.host}:{self.port}/{database}#{table}"


@contextlib.contextmanager
def server():
    """With the database shop, and the role reader, who may read nothing yet.

    PostgreSQL refuses to run as root: then its own user does.
    """
    user = "postgres" if getpass.getuser() == "root" else None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if user:
        shutil.chown(folder, user)
    port = free_port()

    def run(program, *arguments):
        subprocess.run(
            [programs() / program, *arguments],
            cwd=folder,
            user=user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    try:
        run(
            *("initdb", "-D", folder / "data", "-U", "owner", "--no-sync", "-E", "UTF8"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
        )
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", settings, "start")
        try:
            started = Server(folder, port)
            quoted = PASSWORD.replace("'", "''")
            started.admin.execute(f"CREATE ROLE reader LOGIN PASSWORD '{quoted}'")
            started.admin.execute("CREATE DATABASE shop")
            yield started
            started.admin.close()
        finally:
            run("pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
