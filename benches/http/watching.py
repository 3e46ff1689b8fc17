#!/usr/bin/env python3
"""How long after it was posted does a change reach a watch, of the same region and of another; and what does a watch cost in memory?

The first: one writer, 100 changes a second, and one reader in this process, by one clock. The second: `WATCHERS` watches of 100
prefixes, each of which has read its snapshot; then a change below each prefix is told to all. 10,000 unless told, so the server is
started with room for more connections than it has by itself. Server and readers need a file for each watch. Prints a table, and whether
a watch takes at most 32 KiB.
"""

import os
import resource
import selectors
import statistics
import sys
import threading
import time

import servers

CHANGES = int(os.environ.get("CHANGES", 2_000))
WATCHERS = int(os.environ.get("WATCHERS", 10_000))
PREFIXES = 100


def add(path):
    return {"op": "add", "kind": "pn_counter", "path": path, "by": 1}


def delays(writer, reader, changes, pause):
    """Milliseconds from before a change was posted to when it was read, in ascending order."""
    posted = {}

    def write():
        for number in range(changes):
            # Each has a path of its own: what changes twice before it is told is told once.
            posted[f"delay/{pause}/{number}"] = time.perf_counter()
            status, _ = writer.ask("POST", "/v1/ops", add(f"delay/{pause}/{number}"))
            assert status == 200, status
            time.sleep(pause)

    watch = reader.watch(f"delay/{pause}/")
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    found, rest = [], b""
    while len(found) < changes:
        rest += watch.recv(65_536)
        now = time.perf_counter()
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line.startswith(b'data: {"path":"delay/'):
                found.append(1e3 * (now - posted[line.split(b'"')[3].decode()]))
    watch.close()
    writing.join()
    return sorted(found)


def read_until(watches, sign):
    """Reads from all until each has read the sign. Seconds until the last one has."""
    began = time.perf_counter()
    selector = selectors.DefaultSelector()
    for watch in watches:
        selector.register(watch, selectors.EVENT_READ, bytearray())
    while selector.get_map():
        ready = selector.select(60)
        assert ready, f"{len(selector.get_map())} watches have not heard of it"
        for key, _ in ready:
            key.data.extend(key.fileobj.recv(65_536))
            if sign in key.data:
                selector.unregister(key.fileobj)
    return time.perf_counter() - began


def memory(server, count):
    """KiB of a watch, and the seconds in which all of them are told of a change."""
    # What is allocated once is allocated before.
    for prefix in range(PREFIXES):
        server.ask("POST", "/v1/ops", add(f"memory/{prefix}/a"))
        server.watch(f"memory/{prefix}/").close()
    time.sleep(2)
    before = server.resident_kib()
    watches = [server.watch(f"memory/{number % PREFIXES}/") for number in range(count)]
    time.sleep(2)
    quiet = (server.resident_kib() - before) / count
    changes = [add(f"memory/{prefix}/b") for prefix in range(PREFIXES)]
    assert server.ask("POST", "/v1/ops", changes)[0] == 200
    took = read_until(watches, b'/b"')
    time.sleep(2)
    told = (server.resident_kib() - before) / count
    for watch in watches:
        watch.close()
    return quiet, told, took


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WATCHERS + 200:
        assert hard >= WATCHERS + 200, f"{WATCHERS + 200} files are needed, {hard} may be open: ulimit -n"
        resource.setrlimit(resource.RLIMIT_NOFILE, (WATCHERS + 200, hard))
    print(f"{servers.machine()}\n")
    # One that was left counts until its next heartbeat.
    with servers.regions(servers.REGIONS[:2], "--connections", str(WATCHERS + 500)) as (_, (here, there)):
        servers.ready(here)
        servers.ready(there)
        print("| from a POST to a watch | p50 | p99 | most |\n|---|---|---|---|")
        for what, reader, changes, pause in [
            ("of the same region", here, CHANGES, 0.01),
            ("of another region, which hears with the next flush, a second at most", there, CHANGES // 10, 0.05),
        ]:
            found = delays(here, reader, changes, pause)
            p99 = statistics.quantiles(found, n=100, method="inclusive")[98]
            print(f"| {what} | {statistics.median(found):.2f} ms | {p99:.2f} ms | {found[-1]:.2f} ms |", flush=True)
        quiet, told, took = memory(here, WATCHERS)
    print(f"\n| {WATCHERS:,} watches | |\n|---|---|")
    print(f"| memory of each, when it has read its snapshot | {quiet:.1f} KiB |")
    print(f"| memory of each, when all were told of a change | {told:.1f} KiB |")
    print(f"| until the last one is told of a change | {took:.2f} s |")
    print("\na watch takes at most 32 KiB:", max(quiet, told) <= 32)
    sys.exit(0 if max(quiet, told) <= 32 else 1)


main()
