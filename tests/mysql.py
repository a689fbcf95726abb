"""A MySQL server of the tests' own, MariaDB if that is what there is: made, used and thrown away."""

import contextlib
import getpass
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

from tests.postgresql import free_port

PLACES = ":/usr/sbin:/usr/local/sbin"


def program():
    """The server; none if there is none here. Oracle's own is made ready otherwise."""
    return shutil.which("mariadbd", path=f"/usr/bin{PLACES}")


@contextlib.contextmanager
def server():
    """Where it listens, and a connection of its owner."""
    user = "mysql" if getpass.getuser() == "root" else None
    folder = Path(tempfile.mkdtemp(prefix="my"))
    if user:
        shutil.chown(folder, user)
    port, socket = free_port(), folder / "socket"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": user}
    running = None
    try:
        data = f"--datadir={folder / 'data'}"
        install = ["mariadb-install-db", "--no-defaults", data, "--skip-test-db"]
        subprocess.run(
            [*install, "--auth-root-authentication-method=normal"], check=True, timeout=120, **quiet
        )
        running = subprocess.Popen(
            [
                *(program(), "--no-defaults", data, f"--port={port}", f"--socket={socket}"),
                *("--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}"),
            ],
            cwd=folder,
            **quiet,
        )
        for _ in range(600):
            with contextlib.suppress(pymysql.Error):
                admin = pymysql.connect(
                    unix_socket=str(socket), user="root", charset="utf8mb4", autocommit=True
                )
                break
            time.sleep(0.1)
        yield "127.0.0.1", port, admin
        admin.close()
    finally:
        if running:
            running.kill()
            running.wait()
        shutil.rmtree(folder, ignore_errors=True)
