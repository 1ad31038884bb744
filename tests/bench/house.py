#!/usr/bin/env python3
"""How long the house takes to open, and what it needs while nobody is in it.

    make build install-minio && tests/bench/house.py

Needs nothing but Python 3.11. Every figure is the median of ROUNDS with its extremes, beside the limit or the peer that
it is measured against in the same run. The table goes into docs/performance.md.
"""

import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/renderkeep"
MINIO = Path(os.environ.get("RENDERKEEP_MINIO", ROOT / "target/minio/minio"))
NOBODY = 65534
ROUNDS = 7
REQUESTS = 2000
IDLE_SECONDS = 20


class Running:
    """A server that was started just now and answers."""

    def __init__(self, arguments, environment, ready):
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [PROGRAM, *arguments], env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            while not (answer := ready(self.process)):
                if self.process.poll() is not None:
                    sys.exit(f"The server ended: {self.process.stderr.read().decode()}")
                if time.perf_counter() - self.started > 60:
                    sys.exit("The server was not ready within a minute.")
                time.sleep(0.0005)
        except BaseException:
            self.process.kill()
            raise
        self.answer = answer
        self.seconds = time.perf_counter() - self.started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def up(data):
    def ready(process):
        try:
            said = json.loads((data / "run/ready.json").read_text())
        except (OSError, ValueError):
            return None
        return said if said["pid"] == process.pid else None

    return Running(["up", "--data", data], {"RENDERKEEP__SUPERVISOR__MINIO": str(MINIO)}, ready)


def serve(data, house, port):
    """A second server on the Postgres and MinIO of a running house."""
    keys = json.loads((data / "secrets/store.json").read_text())
    socket = str(data / "run").replace("/", "%2F")
    settings = {
        "SERVER__PORT": str(port),
        "DATABASE__URL": f"postgres://renderkeep_app@{socket}/renderkeep",
        "STORAGE__ENDPOINT": f"http://127.0.0.1:{house['ports']['minio']}",
        "STORAGE__ACCESS_KEY": keys["access_key"],
        "STORAGE__SECRET_KEY": keys["secret_key"],
        "STORAGE__DIRECTORY": str(data / "minio"),
        "SECRETS__EPOCH_KEYS": str(data / "keys"),
        "SECRETS__ROOT_KEY": (data / "secrets/root_key").read_text().strip(),
    }
    environment = {f"RENDERKEEP__{key}": value for key, value in settings.items()}
    return Running(["serve"], environment, lambda _: answers(port))


def answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def choose_password(house):
    """Signs the owner in for the first time; until then every start derives the one-time password anew."""
    cookie = None

    def form(path, **fields):
        nonlocal cookie
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        connection = http.client.HTTPConnection("127.0.0.1", house["ports"]["http"], timeout=10)
        connection.request(
            "POST" if fields else "GET", path, urllib.parse.urlencode(fields), headers | ({"Cookie": cookie} if cookie else {})
        )
        answer = connection.getresponse()
        if given := answer.getheader("Set-Cookie"):
            cookie = given.partition(";")[0]
        return answer.status, answer.read().decode()

    owner, chosen = house["owner"], "seven quiet harbours"
    entered = form("/sign-in", mail=owner["mail"], password=owner["one_time_password"], next="")
    token = re.search(r'name="csrf" value="([^"]+)"', form("/password")[1])[1]
    settled = form("/password", csrf=token, new_password=chosen, again=chosen)
    assert (entered[0], settled[0]) == (303, 303), (entered, settled)


def memory(pid, field):
    """A field of /proc/PID/smaps_rollup or status, in MB (10^6 bytes)."""
    for file in ("smaps_rollup", "status"):
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024 / 1e6
    raise LookupError(field)


def family(pid):
    """A process and its descendants, as they are now."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
    return [pid] + [one for child in " ".join(lists).split() for one in family(int(child))]


def request_times(port, path, token):
    """Seconds of REQUESTS requests, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {token}"}
    times = []
    for _ in range(REQUESTS):
        before = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - before)
        assert answer.status == 200, (path, answer.status)
    return times


def row(what, values, unit, limit, limit_is):
    middle = statistics.median(values)
    print(f"| {what} | {middle:.3g} {unit} | {min(values):.3g}–{max(values):.3g} | {limit:.3g} {unit}: {limit_is} | {middle / limit:.2f} |")


def main():
    for needed in (PROGRAM, MINIO):
        if not needed.exists():
            sys.exit(f"{needed} is not there. Run: make build install-minio")
    home = Path(tempfile.mkdtemp(prefix="renderkeep-bench-"))
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    home.chmod(0o755)
    try:
        measure(home)
    finally:
        shutil.rmtree(home)


def measure(home):
    print("| what | median | extremes | measured against | ratio |")
    print("| --- | --- | --- | --- | --- |")
    first = []
    for number in range(ROUNDS):
        with up(home / f"first-{number}") as house:
            first.append(house.seconds)
    data = home / "first-0"
    with up(data) as house:
        choose_password(house.answer)
    second = []
    for _ in range(ROUNDS):
        with up(data) as house:
            second.append(house.seconds)
    row("`up`, first start, to ready", first, "s", statistics.median(second), "a later start")
    row("`up`, later start, to ready", second, "s", 3.0, "the limit")

    with up(data) as house:
        ports, pids = house.answer["ports"], house.answer["pids"]
        starts = []
        for number in range(ROUNDS):
            with serve(data, house.answer, ports["http"] + 1 + number) as server:
                starts.append(server.seconds * 1000)
        row("`serve`, start to first answer", starts, "ms", 23, "the probe: a server with a migration check")
        with serve(data, house.answer, ports["http"] + 1) as server:
            time.sleep(IDLE_SECONDS)
            own = memory(server.process.pid, "Anonymous")
            row("idle server, its own memory", [own], "MB", 14, "the probe of the whole stack")
            row("idle server, with the pages of its program", [memory(server.process.pid, "Rss")], "MB", 14, "the same")
        row("idle MinIO", [memory(pids["minio"], "Rss")], "MB", 140, "MinIO alone")
        postgres = sum(memory(pid, "Pss") for pid in family(pids["postgres"]))
        row("idle Postgres, all its processes", [postgres], "MB", 140, "MinIO alone")

        command = [PROGRAM, "token", "create", "--data", data, "--person", house.answer["owner"]["mail"]]
        token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        base = [seconds * 1000 for seconds in request_times(ports["http"], "/healthz", token)]
        for path in ("/api/v1/me", "/api/v1/models", "/api/v1/assets", "/api/v1/generations"):
            times = [seconds * 1000 for seconds in request_times(ports["http"], path, token)]
            row(f"`GET {path}`", times, "ms", statistics.median(base), "`GET /healthz`")


if __name__ == "__main__":
    main()
