"""Servers of `archipelago serve` in a folder of their own, for the scripts beside this one. Python 3.11 or later, and nothing else."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-1"]


def program():
    """The command: what `ARCHIPELAGO` names, or what was built as it is shipped."""
    target = os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[2] / "target")
    return pathlib.Path(os.environ.get("ARCHIPELAGO", pathlib.Path(target) / "release" / "archipelago")).resolve(strict=True)


class Server:
    """The server of one region, which is stopped with the folder."""

    def __init__(self, folder, region, *options):
        self.folder, self.region, self.options = folder, region, options
        self.port, self.process = None, None

    def start(self):
        """Starts it, at the same port as before, and waits until it says where it is."""
        listen = f"127.0.0.1:{self.port or 0}"
        command = [program(), "serve", "--region", self.region, "--listen", listen, "--json", *self.options]
        for _ in range(100):
            log = open(self.folder / f"{self.region}.log", "ab")
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True)
            line = self.process.stdout.readline()
            if line:
                self.port = int(json.loads(line)["url"].rsplit(":", 1)[1].strip("/"))
                return self
            # A bucket that is away for the moment, or a port that the system still holds.
            self.process.wait()
            time.sleep(0.2)
        raise RuntimeError(f"{self.region} does not start: {(self.folder / f'{self.region}.log').read_text()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, f"{self.region} ended with {self.process.returncode}"

    def resident_kib(self):
        """What the process has in memory."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("it has ended")

    def ask(self, method, target, body=None, headers=None, timeout=30):
        """The status and the object of an answer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            return over(connection, method, target, body, headers)

    def watch(self, prefix, timeout=60):
        """A watch, as a socket from which the head of the answer and the snapshot have been read."""
        watch = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        watch.sendall(f"GET /v1/watch?prefix={prefix} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        come = b""
        while b'"last":true' not in come:
            more = watch.recv(65_536)
            assert more, f"a watch has ended behind {come}"
            come += more
        assert come.startswith(b"HTTP/1.1 200 "), come
        return watch


def over(connection, method, target, body=None, headers=None):
    """The same over a connection that stays."""
    headers = {"content-type": "application/json"} | (headers or {})
    connection.request(method, target, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text[:1] in b"{[" else text.decode()


@contextlib.contextmanager
def regions(names, *options):
    """A server for each region, with these options, in a folder that is removed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="archipelago-http-"))
    servers = [Server(folder, name, *options) for name in names]
    try:
        subprocess.run([program(), "init"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        yield folder, [server.start() for server in servers]
    finally:
        for server in servers:
            if server.process and server.process.poll() is None:
                server.kill()
        shutil.rmtree(folder)


def ready(server):
    """Waits until it has caught up."""
    for _ in range(600):
        if server.ask("GET", "/readyz")[0] == 200:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{server.region} does not become ready")


def machine():
    """What the figures are of."""
    return f"{os.cpu_count()} cores shared with the clients, load {os.getloadavg()[0]:.1f} before"
