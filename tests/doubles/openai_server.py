#!/usr/bin/env python3
"""A server that speaks OpenAI's images API and fails on demand: the provider of the tests.

Prints its port and serves until its standard input ends. The model's name says how to behave (see `Behaviour`); any other
name paints. `GET /seen` lists what was asked, pictures by size and SHA-256. With `--key K` every call needs that key; with
`--tls CERTIFICATE KEY` it speaks TLS. `--record FILE` adds a line of JSON for every request: its path, and how many bytes
came (request line, headers, body) and went back (the body), and what came, as base64. SIGUSR1 releases what is held.
"""

import argparse
import base64
import email.parser
import email.policy
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN = []
PICTURES = {}
RELEASED = threading.Event()


def png(size, seed):
    """A small but real picture: a gradient whose colours come from the seed."""
    width, height = (int(side) for side in size.split("x"))
    tint = hashlib.sha256(str(seed).encode()).digest()
    rows = bytearray()
    for y in range(height):
        shade = y * 255 // max(height - 1, 1)
        left = bytes((tint[i] + shade) // 2 for i in range(3))
        rows += b"\0" + left * width
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows), 1)) + chunk(b"IEND", b"")


def error(message, code, kind="invalid_request_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Behaviour:
    """How each model answers; every method is a model's name with dashes written as underscores."""

    def __init__(self, handler, asked):
        self.handler, self.asked = handler, asked
        self.count = int(asked.get("n", 1))
        self.size = asked.get("size") or "1024x1024"

    def _pictures(self, count=None):
        seed = int(self.asked.get("seed", 0))
        return [png(self.size, seed + number) for number in range(self.count if count is None else count)]

    def _answer(self, pictures):
        data = [{"b64_json": base64.b64encode(one).decode()} for one in pictures]
        self.handler.reply(200, {"created": 1795168800, "data": data, "usage": {"total_tokens": 1070}})

    def paints(self):
        self._answer(self._pictures())

    def slow(self):
        time.sleep(2)
        self.paints()

    def held(self):
        """Answers once `GET /release` was asked for."""
        RELEASED.wait(60)
        self.paints()

    def held_spoilt(self):
        """The same with pictures that begin and end as they should and are nothing between."""
        RELEASED.wait(60)
        self._answer([one[:40] + bytes(len(one) - 60) + one[-20:] for one in self._pictures()])

    def by_address(self, host=None):
        data = []
        for number, one in enumerate(self._pictures()):
            name = f"/files/{len(PICTURES)}-{number}.png"
            PICTURES[name] = one
            data.append({"url": f"http://{host or self.handler.headers['Host']}{name}"})
        self.handler.reply(200, {"created": 1795168800, "data": data})

    def by_foreign_address(self):
        self.by_address("pictures.example")

    def unauthorised(self):
        self.handler.reply(401, error("Incorrect API key provided: sk-secret-of-the-house.", "invalid_api_key"))

    def rate_limited(self):
        self.handler.reply(429, error("Too fast.", "rate_limit_exceeded"), {"Retry-After": "7"})

    def out_of_credit(self):
        self.handler.reply(429, error("You exceeded your current quota.", "insufficient_quota"))

    def moderated(self):
        kind = "image_generation_user_error"
        self.handler.reply(400, error("Rejected by the safety system.", "moderation_blocked", kind))

    def error_text(self):
        self.handler.reply(400, {"error": "size is not supported"})

    def detail(self):
        self.handler.reply(422, {"detail": [{"loc": ["body", "n"], "msg": "n is too large", "type": "value_error"}]})

    def internal_error(self):
        self.handler.reply(500, error("The server had an error.", "server_error", "server_error"))

    def html(self):
        self.handler.send(200, "text/html", b"<html><body>It works!</body></html>")

    def redirect(self):
        self.handler.send(302, "text/plain", b"", {"Location": "/v1/images/elsewhere"})

    def truncated(self):
        self._answer([one[: len(one) * 2 // 3] for one in self._pictures()])

    def no_picture(self):
        self._answer([b"<svg xmlns='http://www.w3.org/2000/svg'/>"])

    def empty(self):
        self._answer([])

    def fewer(self):
        self._answer(self._pictures(max(self.count - 1, 1)))

    def twice(self):
        self._answer(self._pictures(self.count * 2))

    def drop(self):
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def half(self):
        body = json.dumps({"data": [{"b64_json": base64.b64encode(self._pictures(1)[0]).decode()}]}).encode()
        self.handler.send(200, "application/json", body[: len(body) // 2], {"Content-Length": str(len(body))})
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def hang(self):
        time.sleep(600)


class Counted:
    """A stream that keeps what was read from it."""

    def __init__(self, stream):
        self.stream, self.received = stream, bytearray()

    def read(self, *arguments):
        data = self.stream.read(*arguments)
        self.received += data
        return data

    def readline(self, *arguments):
        data = self.stream.readline(*arguments)
        self.received += data
        return data

    def __getattr__(self, name):
        return getattr(self.stream, name)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    key = None
    record = None

    def setup(self):
        super().setup()
        self.rfile = Counted(self.rfile)

    def handle_one_request(self):
        self.rfile.received, self.sent, self.path = bytearray(), 0, None
        try:
            super().handle_one_request()
        except ssl.SSLError:
            # A caller that does not believe the certificate.
            self.close_connection = True
        if self.record and self.path is not None:
            received = self.rfile.received
            line = {"path": self.path, "bytes_in": len(received), "bytes_out": self.sent}
            with open(self.record, "a") as file:
                file.write(json.dumps({**line, "received": base64.b64encode(received).decode()}) + "\n")

    def log_message(self, *_):
        pass

    def send(self, status, media_type, body, headers=None):
        headers = {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.sent += len(body)

    def reply(self, status, value, headers=None):
        self.send(status, "application/json", json.dumps(value).encode(), headers)

    def admitted(self):
        if self.key is None or self.headers["Authorization"] == f"Bearer {self.key}":
            return True
        self.reply(401, error("Incorrect API key provided.", "invalid_api_key"))
        return False

    def do_GET(self):
        if self.path == "/seen":
            self.reply(200, SEEN)
        elif self.path == "/release":
            RELEASED.set()
            self.reply(200, {})
        elif self.path in PICTURES:
            self.send(200, "image/png", PICTURES[self.path])
        elif self.path == "/v1/models" and self.admitted():
            names = [name.replace("_", "-") for name in vars(Behaviour) if not name.startswith("_")]
            self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        elif self.path != "/v1/models":
            self.reply(404, error("Not found.", "not_found"))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked, files = self.fields(body)
        authorization = self.headers["Authorization"]
        SEEN.append({"path": self.path, "fields": asked, "files": files, "authorization": authorization})
        if not self.admitted():
            return
        if self.path not in ("/v1/images/generations", "/v1/images/edits"):
            self.reply(404, error("Not found.", "not_found"))
            return
        behaviour = Behaviour(self, asked)
        name = asked.get("model", "").replace("-", "_")
        known = not name.startswith("_") and callable(getattr(Behaviour, name, None))
        try:
            getattr(behaviour, name if known else "paints")()
        except OSError:
            # The caller went away, as in the tests of hanging up.
            self.close_connection = True

    def fields(self, body):
        content_type = self.headers["Content-Type"] or ""
        if not content_type.startswith("multipart/"):
            return json.loads(body), []
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        asked, files = {}, []
        for part in message.iter_parts():
            name, data = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if part.get_filename() is None:
                asked[name] = data.decode()
            else:
                digest = hashlib.sha256(data).hexdigest()
                kind = part.get_content_type()
                files.append({"name": name, "file": part.get_filename(), "type": kind, "bytes": len(data), "sha256": digest})
        return asked, files


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--key")
    options.add_argument("--address", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options.add_argument("--record")
    chosen = options.parse_args()
    Handler.key, Handler.record = chosen.key, chosen.record
    server = ThreadingHTTPServer((chosen.address, chosen.port), Handler)
    if chosen.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*chosen.tls)
        # The handshake happens when the connection is first read, in its own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGUSR1, lambda *_: RELEASED.set())
    print(server.server_address[1], flush=True)
    # Ends with whoever started it, however that one ends.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
