#!/usr/bin/env python3
"""What a provider's answer takes longer through the house, with everything on, than asked directly.

    make build install-minio && tests/bench/latency.py

Sixteen connections ask `/v1/images/generations` as fast as they are answered: of an upstream on this machine that answers
with the same picture after a fixed time, and of it through a house with a price, a cap, the egress ledger, sealed storage
and confined decoders. If `litellm` is on the path, its proxy is asked in the same run. Rounds alternate; the table goes into
docs/performance.md.
"""

import base64
import hashlib
import http.client
import json
import multiprocessing
import os
import secrets
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import house

CONNECTIONS = 16
REQUESTS = 160
ROUNDS = 3
SIDE = 1024
# Far less than a model takes: the difference is what counts.
UPSTREAM_SECONDS = 2


def picture():
    """A PNG of about a megabyte, as a model's answer is: it does not compress to nothing."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(SIDE * 3 // 32))
    rows = bytearray()
    for y in range(SIDE):
        shade = y * 255 // SIDE
        rows += b"\0" + bytes((shade + (value & 15)) & 255 for value in noise[y * 7 % 97 :] + noise[: y * 7 % 97])
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows), 1)) + chunk(b"IEND", b"")


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(UPSTREAM_SECONDS)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_):
        pass


def serve_upstream(listener):
    data = [{"b64_json": base64.b64encode(picture()).decode()}]
    Upstream.answer = json.dumps({"created": 1795168800, "data": data}).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def ask(port, model, token):
    """Sorted seconds of REQUESTS requests over CONNECTIONS connections."""
    times, lock, left = [], threading.Lock(), iter(range(REQUESTS))
    faults = []

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        while True:
            with lock:
                number = next(left, None)
            if number is None or faults:
                return
            body = {"model": model, "prompt": f"a harbour, number {number}", "size": f"{SIDE}x{SIDE}", "n": 1}
            before = time.perf_counter()
            connection.request("POST", "/v1/images/generations", json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
            took = time.perf_counter() - before
            with lock:
                times.append(took)
                if answer.status != 200 or b"b64_json" not in said:
                    faults.append((answer.status, said[:500]))

    threads = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        sys.exit(f"Port {port} answered {faults[0]}")
    return sorted(times)


def configure(data, upstream):
    data.mkdir(mode=0o700)
    (data / "config.toml").write_text(
        f"""
[inference]
per_person = 1000
at_once = {CONNECTIONS}
[[inference.providers]]
slug = "upstream"
title = "Upstream"
base_url = "http://127.0.0.1:{upstream}/v1"
local = true
[[inference.providers.models]]
name = "painter"
upstream_name = "painter"
title = "Painter"
price_micros_per_image = 40000
"""
    )
    if os.geteuid() == 0:
        for path in (data, data / "config.toml"):
            os.chown(path, house.NOBODY, house.NOBODY)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class LiteLlm:
    """The proxy of the same upstream, where it is installed."""

    # It refuses to start without one.
    key = "sk-" + secrets.token_hex(16)

    def __init__(self, home, upstream):
        self.port = free_port()
        config = home / "litellm.json"
        parameters = {"model": "openai/painter", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
        models = [{"model_name": "painter", "litellm_params": parameters, "model_info": {"mode": "image_generation"}}]
        config.write_text(json.dumps({"model_list": models}))
        command = ["litellm", "--config", config, "--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "2"]
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_MASTER_KEY": self.key}
        self.log = open(home / "litellm.log", "wb")
        self.process = subprocess.Popen(command, env=os.environ | settings, stdout=self.log, stderr=self.log)
        since = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() - since > 120:
                    sys.exit(f"litellm did not start: {(home / 'litellm.log').read_text()[-2000:]}")
                time.sleep(0.2)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def row(name, rounds, direct):
    p50 = statistics.median(times[len(times) // 2] for times in rounds)
    p99 = statistics.median(times[int(len(times) * 0.99)] for times in rounds)
    added = f"{(p50 - direct[0]) * 1000:.0f} ms | {(p99 - direct[1]) * 1000:.0f} ms" if direct else "– | –"
    ratio = f"{p50 / direct[0]:.2f}" if direct else "1"
    print(f"| {name} | {p50 * 1000:.0f} ms | {p99 * 1000:.0f} ms | {added} | {ratio} |")
    return p50, p99


def measure(home):
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    upstream = listener.getsockname()[1]
    serving = multiprocessing.Process(target=serve_upstream, args=(listener,), daemon=True)
    serving.start()
    data = home / "data"
    configure(data, upstream)
    peer = LiteLlm(home, upstream) if shutil.which("litellm") else None
    try:
        with house.up(data) as running:
            owner = running.answer["owner"]["mail"]
            house.choose_password(running.answer)
            command = [house.PROGRAM, "token", "create", "--data", data, "--person", owner, "--scope", "read", "--scope"]
            command += ["write", "--scope", "admin"]
            token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            port = running.answer["ports"]["http"]
            cap(port, token)
            asked = {"directly": (upstream, "painter", "none"), "through Renderkeep": (port, "upstream/painter", token)}
            if peer:
                asked["through LiteLLM's proxy"] = (peer.port, "painter", peer.key)
            times = {name: [] for name in asked}
            for name, (at, model, key) in asked.items():
                ask(at, model, key)
            for _ in range(ROUNDS):
                for name, (at, model, key) in asked.items():
                    times[name].append(ask(at, model, key))
    finally:
        if peer:
            peer.stop()
        serving.terminate()
    print(f"| {CONNECTIONS} connections | p50 | p99 | added at p50 | added at p99 | ratio |\n| --- | --- | --- | --- | --- | --- |")
    direct = None
    for name, rounds in times.items():
        answer = row(name, rounds, direct)
        direct = direct or answer


def cap(port, token):
    """A limit that is in force and never reached."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    limit = {"micros": 10**12, "currency": "EUR"}
    body = {"scope": "organisation", "subject": None, "period": "month", "limit": limit}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("PUT", "/api/v1/admin/caps", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()


def main():
    for needed in (house.PROGRAM, house.MINIO):
        if not needed.exists():
            sys.exit(f"{needed} is not there. Run: make build install-minio")
    home = Path(tempfile.mkdtemp(prefix="renderkeep-bench-"))
    if os.geteuid() == 0:
        os.chown(home, house.NOBODY, house.NOBODY)
    home.chmod(0o755)
    try:
        measure(home)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
