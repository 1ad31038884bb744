#!/usr/bin/env python3
"""One half of a passage between two network namespaces, which share their files and nothing else.

    relay.py in PORT SOCKET     takes connections at PORT on loopback and hands them to SOCKET
    relay.py out PORT SOCKET    takes connections at SOCKET and hands them to PORT on loopback

Says `ready` and serves until its standard input ends.
"""

import asyncio
import sys

WAY, PORT, SOCKET = sys.argv[1], int(sys.argv[2]), sys.argv[3]


async def pour(reader, writer):
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def passage(reader, writer):
    try:
        if WAY == "in":
            there = await asyncio.open_unix_connection(SOCKET)
        else:
            there = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pour(reader, there[1]), pour(there[0], writer))


async def main():
    if WAY == "in":
        await asyncio.start_server(passage, "127.0.0.1", PORT)
    else:
        await asyncio.start_unix_server(passage, SOCKET)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


asyncio.run(main())
