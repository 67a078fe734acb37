"""The broker under test: its binary, certificates, free ports, data folder, start and end."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
START_SECONDS = 30
STOP_SECONDS = 30
DEVICE = "pump-7"
APP = "dashboard"


def built(name):
    """A program below cargo's target folder."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    return (TOP / target).resolve() / name


def binary():
    """TWINMQ_BIN, or what cargo built last."""
    if "TWINMQ_BIN" in os.environ:
        return Path(os.environ["TWINMQ_BIN"]).resolve()
    return built("release/twinmq")


def make_certificates(folder):
    """A development CA and certificates for localhost, the device and the app, made by the product itself."""
    command = [binary(), "certs", "--out", folder, "--device", DEVICE, "--device", APP]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)


class Broker:
    """A running broker, with its `listeners` on free ports whatever the settings say.

    Use it in `with`: it is ended by its own process id, whatever happens.
    """

    def __init__(self, folder, config, listeners=("mqtt", "http")):
        self.log = Path(folder) / "broker.log"
        command = [binary(), "serve", "--config", config, "--data", Path(folder) / "data"]
        for listener in listeners:
            command += [f"--{listener}", "127.0.0.1:0"]
        self.command = [str(part) for part in command]
        self.process, self.ready, self.killed = None, {}, False

    def __enter__(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, cwd=self.log.parent)
        try:
            self.ready = self._read_ready_line()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        """Asks it to end, and holds it to the promise that it drains and exits with 0."""
        if self.killed:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if status != 0:
            raise RuntimeError(f"the broker ended with {status} after SIGTERM")

    def kill(self):
        """Ends it without a warning, as `kill -9` does."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def _read_ready_line(self):
        deadline = time.monotonic() + START_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 4096) if readable else b""
            if not chunk:
                raise RuntimeError(f"the broker did not get ready: {self.tail()}")
            line += chunk
        words = line.decode().split()
        if words[:2] != ["twinmq", "ready"]:
            raise RuntimeError(f"not a start line: {line!r}")
        return dict(word.split("=", 1) for word in words[2:])

    def tail(self, lines=30):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
