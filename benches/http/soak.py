#!/usr/bin/env python3
"""Does a server stay as it is, and lose nothing, however long three of them take mixed load, are killed and are cut off?

Takes the minutes, 30 unless told. There are 50,000 objects, and each region has writers, readers and watches. Every now and then a
process is killed and comes back, or a region's bucket is away for some seconds; the first region is never killed, and its memory is
what is measured. In the end all regions must hold the same, with each change that was asked for with a key made exactly once, and
every other one that was answered as durable made. Prints a table, and fails when something was lost or doubled, or when memory has
grown by 2 % or more in 10 minutes; less than 10 minutes behind the warm-up, which is a third of the time and 10 minutes at most, say
nothing of that.
"""

import http.client
import json
import random
import sys
import threading
import time

import servers

MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 30
# Before it memory grows: with the objects, the boards, the allocator's pages.
WARM_UP = min(600, MINUTES * 60 / 3)
OBJECTS = 50_000
ends_at = time.monotonic() + MINUTES * 60
stopping = threading.Event()


class Tally:
    """What happened, for the table."""

    def __init__(self):
        self.lock, self.counts = threading.Lock(), {}

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def of(self, what):
        return self.counts.get(what, 0)


tally = Tally()


class Client:
    """A connection that is made anew when it breaks, which it does when a server is killed."""

    def __init__(self, server):
        self.server, self.connection = server, None

    def ask(self, *request):
        """The status and the answer, or `None` when there was none: what was asked for may be done or not."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            status, answer = servers.over(self.connection, *request)
        except (OSError, http.client.HTTPException):
            self.connection = None
            tally.count("without an answer")
            time.sleep(0.05)
            return None
        tally.count(f"{status // 100}xx")
        return status, answer


def forever(action):
    while not stopping.is_set():
        action()


def write_once(server, name, asked):
    """Counts with keys: a request is repeated until it is durable, and must have been done once."""
    client, number = Client(server), 0
    while not stopping.is_set():
        number += 1
        operation = {"op": "add", "kind": "pn_counter", "path": f"once/{name}", "by": number % 7 + 1}
        while True:
            came = client.ask("POST", "/v1/ops?durable=true", operation, {"idempotency-key": f"{name} {number}"})
            if came and came[0] in (200, 202):
                if came[1]["durable"]:
                    break
            elif came and came[0] < 500:
                raise RuntimeError(f"{came}")
        asked[name] = asked.get(name, 0) + operation["by"]
        # Keys are remembered for a day, and take memory until there are 100,000: that is no leak, and should not look like one.
        time.sleep(2)


def write_much(server, name, answered):
    """Many changes of every kind, without keys. Those of a counter are at least what was answered as durable."""
    client, chance = Client(server), random.Random(name)
    number = 0
    while not stopping.is_set():
        number += 1
        path = chance.randrange(1_000)
        operations = [
            {"op": "add", "kind": "pn_counter", "path": f"board/{path}", "by": chance.randrange(-3, 9)},
            {"op": chance.choice(["add", "remove"]), "kind": "or_set", "path": f"set/{path % 50}", "value": path % 40},
            {"op": "set", "kind": "lww_register", "path": f"text/{path % 200}", "value": f"{name} " + "x" * (path % 400)},
            {"op": "set", "kind": "mv_register", "path": f"note/{path % 20}", "value": path},
            {"op": "add", "kind": "g_counter", "path": f"much/{name}"},
        ]
        durable = number % 50 == 0
        came = client.ask("POST", f"/v1/ops?durable={str(durable).lower()}", operations)
        if durable and came and came[0] == 200 and came[1]["durable"]:
            # Durable is the log up to there, so all that was made by this process is; a crash may have taken some before it.
            answered[name] = answered.get(name, 0) + 1
        if number % 97 == 0:
            client.ask("DELETE", f"/v1/objects/set/{path % 50}")
        time.sleep(0.01)


def read_much(server, name):
    client, chance = Client(server), random.Random(name)

    def read():
        path = chance.randrange(1_000)
        for target in [f"/v1/objects/board/{path}", f"/v1/scan?prefix=text/&after=text/{path % 200}&limit=50",
                       "/v1/top?prefix=board/&n=10", "/v1/conflicts?prefix=note/", "/metrics", "/v1/status"]:
            client.ask("GET", target)
            time.sleep(0.01)

    forever(read)


def watch_much(server):
    def watch():
        try:
            stream = server.watch(random.choice(["", "board/", "set/"]), timeout=20)
            for _ in range(random.randrange(1, 2_000)):
                if stopping.is_set() or not stream.recv(65_536):
                    break
            stream.close()
            tally.count("watches")
        except (OSError, AssertionError):
            time.sleep(0.1)

    forever(watch)


def do_harm(folder, all_servers):
    """Kills and cut-offs, one after the other."""
    chance = random.Random(8)
    while not stopping.wait(chance.uniform(5, 20)):
        server = chance.choice(all_servers)
        if server is not all_servers[0] and chance.random() < 0.5:
            server.kill()
            tally.count("kills")
            time.sleep(chance.uniform(0, 3))
            server.start()
        else:
            bucket = folder / "buckets" / server.region
            away = folder / f"{server.region}-away"
            bucket.rename(away)
            tally.count("cut-offs")
            time.sleep(chance.uniform(1, 8))
            away.rename(bucket)


def everything(server):
    """All objects of a region."""
    found, place = [], ""
    while True:
        status, page = server.ask("GET", f"/v1/scan?limit=1000{place}")
        assert status == 200, page
        found += [(entry["path"], entry["kind"], json.dumps(entry["value"], sort_keys=True)) for entry in page["objects"]]
        if page["next"] is None:
            return found
        place = f"&after={page['next']['after']}&after_kind={page['next']['after_kind']}"


def slope(samples):
    """By how much of their mean the samples grow in 10 minutes: the line through them of the least squares."""
    times, sizes = zip(*samples)
    at, size = sum(times) / len(times), sum(sizes) / len(sizes)
    steep = sum((time - at) * (value - size) for time, value in samples) / sum((time - at) ** 2 for time in times)
    return steep * 600 / size


def main():
    print(f"{servers.machine()}\n", flush=True)
    with servers.regions(servers.REGIONS) as (folder, all_servers):
        for server in all_servers:
            servers.ready(server)
        # What is there, and stays.
        for number in range(0, OBJECTS, 10_000):
            counted = [{"op": "add", "kind": "pn_counter", "path": f"there/{number + more}"} for more in range(10_000)]
            assert all_servers[0].ask("POST", "/v1/ops?durable=true", counted)[0] == 200
        asked, answered, failed = {}, {}, []

        def spawn(action, *arguments):
            def guarded():
                try:
                    action(*arguments)
                except BaseException as error:  # noqa: BLE001 - told at the end, whatever it is
                    failed.append(error)
                    stopping.set()

            thread = threading.Thread(target=guarded, daemon=True)
            thread.start()
            return thread

        threads = []
        for server in all_servers:
            for number in range(3):
                threads.append(spawn(write_once, server, f"{server.region}-{number}", asked))
            threads.append(spawn(write_much, server, f"{server.region}-much", answered))
            threads.append(spawn(read_much, server, server.region))
            threads += [spawn(watch_much, server) for _ in range(2)]
        harm = spawn(do_harm, folder, all_servers)
        began, samples = time.monotonic(), []
        while time.monotonic() < ends_at and not stopping.wait(1):
            if time.monotonic() - began > WARM_UP:
                samples.append((time.monotonic() - began, all_servers[0].resident_kib()))
        stopping.set()
        harm.join(timeout=60)
        for thread in threads:
            thread.join(timeout=120)
        assert not failed, failed
        assert not any(thread.is_alive() for thread in [harm, *threads]), "somebody waits for ever"

        # Whatever anybody has is waited for, and then all hold the same.
        for server in all_servers:
            servers.ready(server)
        tokens = [server.ask("POST", "/v1/ops?durable=true", {"op": "add", "kind": "g_counter", "path": "end"})[1]["token"]
                  for server in all_servers]
        for server in all_servers:
            for token in tokens:
                for _ in range(60):
                    status, _ = server.ask("GET", "/v1/objects/end", None, {"x-archipelago-frontier": token})
                    if status == 200:
                        break
                assert status == 200, f"{server.region} does not catch up"
        held = [everything(server) for server in all_servers]
        values = {(path, kind): json.loads(value) for path, kind, value in held[0]}
        lost = [name for name, sum_ in asked.items() if values[f"once/{name}", "pn_counter"] < sum_]
        doubled = [name for name, sum_ in asked.items() if values[f"once/{name}", "pn_counter"] > sum_]
        lost += [name for name, count in answered.items() if values[f"much/{name}", "g_counter"] < count]
        same = held[0] == held[1] == held[2]
        for server in all_servers:
            server.stop()
    growth = slope(samples)
    print(f"| {MINUTES:g} minutes | |\n|---|---|")
    for what in ["2xx", "4xx", "5xx", "without an answer", "watches", "kills", "cut-offs"]:
        print(f"| {what} | {tally.of(what):,} |")
    print(f"| changes with a key, each until it was durable | {len(asked)} counters, {sum(asked.values()):,} in all |")
    print(f"| lost, doubled | {len(lost)}, {len(doubled)} |")
    print(f"| objects, the same in all regions | {len(held[0]):,}, {same} |")
    print(f"| memory after the warm-up, at the end | {samples[0][1] / 1024:.1f} MiB, {samples[-1][1] / 1024:.1f} MiB |")
    print(f"| memory grows in 10 minutes by | {100 * growth:.2f} % |")
    is_kept, is_long = same and not lost and not doubled, samples[-1][0] - samples[0][0] >= 595
    print("\nnothing lost or doubled:", is_kept, " memory grows by less than 2 %:", growth < 0.02 if is_long else "too short to tell")
    sys.exit(0 if is_kept and (growth < 0.02 or not is_long) else 1)


main()
