"""Kernels that start warm: forked from one process that has imported what the notebooks import.

Imports are most of a notebook's start. The process, `serve`, is begun by the first notebook that runs,
reads no data, and ends when it has had nothing to do for IDLE seconds. A kernel is forked from it for
`kernel_stub`, which stands for the kernel to whoever started it. Linux alone: elsewhere libraries may
not survive a fork, and kernels start cold.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

IDLE = 20.0  # seconds
# Read by libraries when they are imported: a kernel may not have them otherwise than its run.
_READ_AT_IMPORT = re.compile(r"PYTHON|MPL|LC_|LANG$|TZ$|HOME$|PATH$|XDG_|\w+_NUM_THREADS$")


def address(root: Path) -> Path:
    """Where the process for this code and these settings listens; others have another one.

    root : of the project.
    """
    package = Path(__file__).parent
    files = [*sorted(package.rglob("*.py")), *sorted((root / "notebooks").glob("*.ipynb"))]
    state = [f"{path} {path.stat().st_mtime_ns}" for path in files]
    state += [
        f"{name}={os.environ[name]}" for name in sorted(os.environ) if _READ_AT_IMPORT.match(name)
    ]
    state += [sys.executable, sys.prefix]
    name = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    # The path of a socket has at most 107 bytes: the project's own may be longer.
    return Path(tempfile.gettempdir()) / f"loyaltylab-{os.getuid()}" / name


def kernel(notebooks: Sequence[Path], folder: Path) -> str:
    """The name of a kernel to run one of the notebooks with: "warm", if one is to be had, else
    "python3"; from then on one may be.

    folder : for Jupyter's description of it, empty or not there.
    """
    if sys.platform != "linux":
        return "python3"
    at = address(notebooks[0].parent.parent)
    if not _is_served(at):
        with contextlib.suppress(OSError):  # no place for it: kernels start cold
            _begin(at, notebooks)
        return "python3"
    stub = Path(__file__).with_name("kernel_stub.py")
    spec = {
        "argv": [sys.executable, "-I", "-S", str(stub), str(at), "{connection_file}"],
        "display_name": "Python 3, warm",
        "language": "python",
    }
    (folder / "kernels" / "warm").mkdir(parents=True)
    described = folder / "kernels" / "warm" / "kernel.json"
    described.write_text(json.dumps(spec), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)
    return "warm"


def _is_served(at: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
        return asked.connect_ex(str(at)) == 0


def _begin(at: Path, notebooks: Sequence[Path]) -> None:
    """Start the process that listens there; it goes on when this one ends."""
    at.parent.mkdir(mode=0o700, exist_ok=True)
    folder = at.parent.lstat()
    if folder.st_uid != os.getuid() or folder.st_mode & 0o077 or at.parent.is_symlink():
        return  # somebody else's: who listens there could be anybody
    subprocess.Popen(
        [sys.executable, "-m", "loyaltylab.warm", str(at), *map(str, notebooks)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def imported(notebooks: Sequence[Path]) -> list[str]:
    """The modules that notebooks import, each once, and names that may be modules."""
    names: dict[str, None] = {}
    for path in notebooks:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                names |= dict.fromkeys(_modules(ast.parse(cell.source)))
    return list(names)


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def serve(at: Path, notebooks: Sequence[Path], *, idle: float = IDLE) -> None:
    """Import what the notebooks import, then fork a kernel for whoever asks, until nobody does for
    `idle` seconds. Does nothing if another process does it already."""
    import fcntl  # which Windows has not

    with at.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for name in ["ipykernel.kernelapp", *imported(notebooks)]:
            with contextlib.suppress(ModuleNotFoundError):  # a name in a module
                importlib.import_module(name)
        at.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(str(at))
            listening.listen()
            try:
                _Kernels(listening).run(idle)
            finally:
                at.unlink(missing_ok=True)


class _Kernels:
    """The kernels that run: their process ids, by the connection of who asked."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.running: dict[socket.socket, int] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ)
        # A kernel's end is an event like any other.
        self.ended, told = socket.socketpair()
        told.setblocking(False)
        self.told = told
        self.selector.register(self.ended, selectors.EVENT_READ)
        signal.set_wakeup_fd(told.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, idle: float) -> None:
        last = time.monotonic()
        while self.running or time.monotonic() - last < idle:
            for key, _ in self.selector.select(timeout=idle / 10):
                if key.fileobj is self.listening:
                    self._accept()
                elif key.fileobj is self.ended:
                    self.ended.recv(4096)
                else:  # who asked is no more: neither may its kernel be
                    asking: Any = key.fileobj
                    os.kill(self.running[asking], signal.SIGKILL)
                    self.selector.unregister(asking)
                last = time.monotonic()
            self._reap()

    def _accept(self) -> None:
        asking, _ = self.listening.accept()
        message, files, _, _ = socket.recv_fds(asking, 1 << 20, 3)
        if not message:  # only looked whether somebody is here
            asking.close()
            return
        number = os.fork()
        if not number:
            try:
                self._become(json.loads(message), files)
            finally:
                os._exit(1)
        for file in files:
            os.close(file)
        self.running[asking] = number
        self.selector.register(asking, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # already gone, which is the next event
            asking.send(json.dumps(number).encode())

    def _become(self, wanted: dict[str, Any], files: Sequence[int]) -> None:
        """Be the kernel, in the child."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in (self.listening, self.ended, self.told, *self.running):
            inherited.close()
        self.selector.close()
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        os.setsid()
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        sys.path[0] = wanted["cwd"]
        from ipykernel.kernelapp import launch_new_instance

        # It ends with the process it was forked from, which ends it with who asked.
        sys.argv = [
            "ipykernel_launcher",
            *wanted["argv"],
            f"--IPKernelApp.parent_handle={os.getppid()}",
        ]
        launch_new_instance()

    def _reap(self) -> None:
        while self.running:
            number, status = os.waitpid(-1, os.WNOHANG)
            if not number:
                return
            asking = next(a for a, n in self.running.items() if n == number)
            del self.running[asking]
            with contextlib.suppress(KeyError):
                self.selector.unregister(asking)
            with contextlib.suppress(OSError):
                asking.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            asking.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
