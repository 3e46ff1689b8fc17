"""A server whose disk is full: writes go on in memory and say that they are not durable and why; when there is room again all that
was accepted is there, also behind a kill. Run by with-full-disk.sh, which lets it mount."""

import base64
import pathlib
import random
import subprocess
import tempfile
import time

import servers


def until(happens, what):
    for _ in range(300):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def noise(number):
    """A text of 48,000 characters, each number's own, which hardly compresses."""
    return base64.b64encode(random.Random(number).randbytes(36_000)).decode()


def main():
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "archipelago", home], check=True)
        subprocess.run([servers.program(), "init"], cwd=home, check=True, stdout=subprocess.DEVNULL)
        server = servers.Server(pathlib.Path(home), servers.REGIONS[0])
        try:
            play(home, server.start())
        finally:
            server.kill()
            subprocess.run(["umount", home], check=True)


def play(home, server):
    add = {"op": "add", "kind": "pn_counter", "path": "n", "by": 1}
    assert server.ask("POST", "/v1/ops?durable=true", add)[0] == 200
    # What compresses badly fills the disk.
    accepted, told = 0, None
    while told is None:
        assert accepted < 1_000, "the disk never gets full"
        status, answer = server.ask("POST", "/v1/ops", {"op": "add", "kind": "or_set", "path": "s", "value": noise(accepted)})
        assert status == 200, answer
        accepted += 1
        told = answer.get("trouble")
        time.sleep(0.02)
    assert "no space" in told.lower(), told
    until(lambda: server.ask("GET", "/readyz")[1]["not_ready"] == ["bucket"], "it is ready with a full disk")
    alarms = server.ask("GET", "/v1/status")[1]["alarms"]
    assert any("no space" in alarm["says"].lower() and alarm["advice"] for alarm in alarms), alarms
    status, answer = server.ask("POST", "/v1/ops?durable=true", add, timeout=60)
    assert (status, answer["durable"]) == (202, False), answer
    assert server.ask("GET", "/v1/objects/n")[1]["values"][0]["value"] == 2

    subprocess.run(["mount", "-o", "remount,size=64m", home], check=True)
    until(lambda: server.ask("GET", "/readyz")[0] == 200, "it is not ready with room")
    assert server.ask("POST", "/v1/ops?durable=true", add)[0] == 200
    server.kill()
    server.start()
    servers.ready(server)
    elements = server.ask("GET", "/v1/objects/s")[1]["values"][0]["value"]
    assert len(elements) == accepted, f"{len(elements)} of {accepted}"
    assert server.ask("GET", "/v1/objects/n")[1]["values"][0]["value"] == 3
    print(f"a full disk: {accepted} changes accepted, told, and all of them there behind a kill")


main()
