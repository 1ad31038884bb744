"""What tcpdump wrote, as far as the proof of egress needs it: who sent how much to whom."""

import ipaddress
import struct
from dataclasses import dataclass

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
# Neighbours looking for each other and groups of listeners: the link's own, never sent by a program.
LINK_ONLY = {130, 131, 132, 133, 134, 135, 136, 137, 143}


@dataclass(frozen=True)
class Packet:
    protocol: int
    source: str
    target: str
    source_port: int
    port: int
    payload: bytes
    starts: bool = False

    def __str__(self):
        name = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMPV6: "ICMPv6"}.get(self.protocol, f"protocol {self.protocol}")
        return f"{name} to {self.target} port {self.port}, {len(self.payload)} bytes"


def read(data):
    """All packets of IP that are not the link's own."""
    magic, linktype = struct.unpack_from("<I16xI", data)
    assert magic in (0xA1B2C3D4, 0xA1B23C4D) and linktype == 1, "tcpdump writes Ethernet frames here"
    at, found = 24, []
    while at < len(data):
        length, whole = struct.unpack_from("<8xII", data, at)
        assert length == whole, "a packet was cut"
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        packet = of_frame(frame)
        if packet:
            found.append(packet)
    return found


def of_frame(frame):
    (kind,) = struct.unpack_from(">H", frame, 12)
    if kind == ARP:
        return None
    if kind == IPV4:
        words, length, protocol = frame[14] & 15, struct.unpack_from(">H", frame, 16)[0], frame[23]
        source, target = (str(ipaddress.ip_address(frame[at : at + 4])) for at in (26, 30))
        return of_ip(protocol, source, target, frame[14 + words * 4 : 14 + length])
    if kind == IPV6:
        length, protocol = struct.unpack_from(">HB", frame, 18)
        source, target = (str(ipaddress.ip_address(frame[at : at + 16])) for at in (22, 38))
        body = frame[54 : 54 + length]
        while protocol in (0, 43, 60):
            # Options before the content, as for groups of listeners.
            protocol, body = body[0], body[8 + body[1] * 8 :]
        return None if protocol == ICMPV6 and body[0] in LINK_ONLY else of_ip(protocol, source, target, body)
    return Packet(-kind, "", "", 0, 0, frame)


def of_ip(protocol, source, target, body):
    if protocol not in (TCP, UDP):
        return Packet(protocol, source, target, 0, 0, body)
    source_port, port = struct.unpack_from(">HH", body)
    head = (body[12] >> 4) * 4 if protocol == TCP else 8
    starts = protocol == TCP and body[13] & 0x12 == 0x02
    return Packet(protocol, source, target, source_port, port, body[head:], starts)


def asked_name(payload):
    """The name in a question of DNS."""
    labels, at = [], 12
    while payload[at]:
        labels.append(payload[at + 1 : at + 1 + payload[at]].decode("ascii", "replace"))
        at += 1 + payload[at]
    return ".".join(labels).lower()
