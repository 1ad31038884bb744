#!/usr/bin/env python3
"""The rest of the world for a server that must not reach it: takes everything, keeps it, and answers only names.

    sink.py RECORD RESOLVER NAME=ADDRESS...

Whatever TCP or UDP is led to ports 9000 and 9001 is added to RECORD, a line of JSON each; questions for names come to port
53 of RESOLVER. Says `ready` and serves until its standard input ends.
"""

import asyncio
import base64
import ipaddress
import json
import struct
import sys

from packets import asked_name

RECORD, RESOLVER = sys.argv[1:3]
NAMES = dict(pair.split("=") for pair in sys.argv[3:])


def keep(kind, **what):
    with open(RECORD, "a") as file:
        file.write(json.dumps({"kind": kind, **what}) + "\n")


def text(data):
    return base64.b64encode(data).decode()


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, question, asker):
        name = asked_name(question)
        keep("dns", name=name)
        end = question.index(b"\0", 12) + 5
        (wanted,) = struct.unpack_from(">H", question, end - 4)
        known = NAMES.get(name)
        answer = b""
        if known and wanted == 1:
            answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + ipaddress.ip_address(known).packed
        flags = 0x8180 if known else 0x8183
        head = question[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
        self.transport.sendto(head + question[12:end] + answer, asker)


class Datagrams(asyncio.DatagramProtocol):
    def datagram_received(self, data, _):
        keep("udp", data=text(data))


async def stream(reader, writer):
    data = b""
    try:
        while len(data) < 1 << 20 and (piece := await asyncio.wait_for(reader.read(65536), 5)):
            data += piece
    except (OSError, asyncio.TimeoutError):
        pass
    keep("tcp", data=text(data))
    writer.close()


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Names, (RESOLVER, 53))
    await loop.create_datagram_endpoint(Datagrams, ("::", 9001))
    await asyncio.start_server(stream, None, 9000)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


asyncio.run(main())
