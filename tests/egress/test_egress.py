"""Only what was allowed leaves the machine, and the ledger says all of it: seen from outside, packet by packet."""

import base64
import json
import signal
import time
import urllib.parse

import house
import packets
import pytest

KEY = "key-of-the-far-provider-5b1e"
OWNER = {
    "RENDERKEEP__ORGANISATION__OWNER_MAIL": "marta.quist-71c3@marker.example",
    "RENDERKEEP__ORGANISATION__OWNER_NAME": "Marta Quist-71c3",
}


@pytest.fixture(scope="session", autouse=True)
def ended_in_order():
    # Whoever stops the tests gets the namespaces taken away too.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("stopped", returncode=143))


@pytest.fixture
def place():
    reason = house.missing()
    if reason:
        pytest.fail(reason, pytrace=False)
    with house.House() as made:
        yield made


# What is looked for


def forms(marker):
    """The marker as it may be written: plain, in hex, percent-encoded, and as base64 wherever it stands in what was encoded."""
    yield marker
    yield marker.hex().encode()
    yield marker.hex().upper().encode()
    yield urllib.parse.quote_from_bytes(marker, safe="").encode()
    for before in range(3):
        # Characters that also depend on what stands before or behind are left out.
        text = base64.b64encode(b"\0" * before + marker).rstrip(b"=")
        inner = text[-(-before * 8 // 6) : len(text) - (1 if (before + len(marker)) % 3 else 0)]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def occur(markers, where):
    return sorted(name for name, marker in markers.items() if any(form in where for form in forms(marker)))


def pieces(name, data):
    """Some places of a file: one of them is in every part of it that is worth the name."""
    step = max(len(data) // 64, 24)
    return {f"{name} at {at}": data[at : at + 24] for at in range(64, len(data) - 24, step)}


def markers(place, found, token):
    """Everything that belongs to somebody: what may be sent to a provider, and what may not be sent at all."""
    mail, name = OWNER.values()
    personal = {"mail": mail, "name": name, "password": found["password"], "token": token}
    personal["one-time password"] = place.ready["owner"]["one_time_password"]
    personal.update({f"cookie {at}": value for at, value in enumerate(found["cookies"])})
    sendable = {"prompt": found["prompt"].encode(), "provider's key": KEY.encode()}
    sendable.update(pieces("upload", base64.b64decode(found["uploaded"])))
    result = pieces("result", base64.b64decode(found["downloaded"]))
    return sendable, {**{name: text.encode() for name, text in personal.items()}, **result}


def strays(sent, destinations):
    """Packets that belong to no destination: neither to one of their addresses nor to a look-up of one of their names."""
    known = {urllib.parse.urlsplit(f"//{one['host']}").hostname: one["port"] for one in destinations}
    addresses = {(house.PUBLIC, known[house.NAME])} if house.NAME in known else set()

    def belongs(packet):
        if packet.protocol == packets.UDP and (packet.target, packet.port) == (house.GATEWAY, 53):
            return packets.asked_name(packet.payload) in known
        return packet.protocol == packets.TCP and (packet.target, packet.port) in addresses

    return sorted({str(packet) for packet in sent if not belongs(packet)})


# The proof


def test_nothing_leaves_when_nothing_is_allowed(place):
    place.serve(**OWNER)
    token = place.command("token", "create", "--person", OWNER["RENDERKEEP__ORGANISATION__OWNER_MAIL"])
    found = place.journey()
    assert found["calls"] == [] and found["destinations"] == []
    store = place.environment(place.ready["pids"]["minio"])
    assert store["MINIO_UPDATE"] == "off" and not any(name.lower().endswith("_proxy") for name in store)
    listening = place.listening()
    assert listening and set(listening) <= {"127.0.0.1", "[::1]"}, listening
    place.halt()
    pcap = place.captured()
    assert [str(packet) for packet in place.sent(pcap)] == []
    assert place.kept() == []
    sendable, never = markers(place, found, token)
    assert occur({**sendable, **never}, pcap) == []


def test_every_byte_that_leaves_is_allowed_and_in_the_ledger(place):
    authority = place.authority()
    place.provide(KEY)
    place.serve(**OWNER, RENDERKEEP__EGRESS__EXTRA_CA_FILE=str(authority))
    token = place.command("token", "create", "--person", OWNER["RENDERKEEP__ORGANISATION__OWNER_MAIL"])
    found = place.journey(provider_key=KEY)
    place.halt()
    pcap = place.captured()
    sent, calls, provided = place.sent(pcap), found["calls"], place.provided()
    assert [one["host"] for one in found["destinations"]] == [house.NAME]
    assert {call["outcome"] for call in calls} == {"answered"}
    assert sorted(call["purpose"] for call in calls) == ["generation", "test"]

    # Every flow has its row, and every row its flow.
    assert strays(sent, found["destinations"]) == []
    assert len([packet for packet in sent if packet.starts]) == len(calls) == len(provided)
    assert {one["name"] for one in place.kept()} == {house.NAME}, "names are all that the sink was asked"

    # Counted are the request, head and body, and the answer's body.
    ledger = sorted((call["bytes_out"], call["bytes_in"]) for call in calls)
    assert ledger == sorted((one["bytes_in"], one["bytes_out"]) for one in provided)
    # What TLS adds is a handshake for each call and a little for each of its records: there is no room for anything else.
    payload = sum(len(packet.payload) for packet in sent if packet.protocol == packets.TCP)
    counted = sum(out for out, _ in ledger)
    assert counted < payload < counted + 2500 * len(calls) + counted // 100

    # What was allowed came to where it was allowed; nothing else came there, and nothing anywhere else.
    sendable, never = markers(place, found, token)
    received = b"".join(one["received"] for one in provided)
    assert occur(sendable, received) == sorted(sendable)
    assert occur(never, received) == []
    assert occur({**sendable, **never}, pcap) == []
    assert occur({**sendable, **never}, json.dumps(place.kept()).encode()) == []


def test_a_leak_is_found(place):
    place.serve(**OWNER, RENDERKEEP_LEAK_AT="studio.accepted")
    mail = OWNER["RENDERKEEP__ORGANISATION__OWNER_MAIL"]
    token = place.command("token", "create", "--person", mail, "--scope", "read", "--scope", "write")
    program = f"""import json, urllib.request
body = json.dumps({{"model": "demo/painter", "prompt": "a teapot", "size": "512x512"}}).encode()
head = {{"Authorization": "Bearer {token}", "Content-Type": "application/json"}}
asked = urllib.request.Request("http://127.0.0.1:{house.PORT}/api/v1/generations", body, head)
print(urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(asked).status)"""
    assert house.run(*place.within(place.inside, ["python3", "-c", program])).strip() == "202"
    place.halt()
    pcap = place.captured()
    leaked = strays(place.sent(pcap), [])
    assert leaked == ["UDP to 203.0.113.7 port 9, 15 bytes"], leaked
    assert [base64.b64decode(one["data"]) for one in place.kept()] == [b"studio.accepted"]
    assert occur({"leak": b"studio.accepted"}, pcap) == ["leak"]


def test_the_store_would_ask_for_news_if_it_were_let(place):
    """Why the first test means something: MinIO as it comes looks for a newer version, and that is seen."""
    place.run_store_as_it_comes()
    end = time.monotonic() + 30
    while not place.kept() and time.monotonic() < end:
        time.sleep(0.1)
    assert {one["name"] for one in place.kept()} == {"dl.min.io"}
    assert any("port 53" in packet for packet in strays(place.sent(place.captured()), []))


# The proof's own tools


def test_a_marker_is_found_in_every_dress():
    marker = {"it": b"marta.quist-71c3@marker.example"}
    (plain,) = marker.values()
    dresses = [plain, plain.hex().encode(), plain.hex().upper().encode(), urllib.parse.quote(plain, safe="").encode()]
    for before in (b"", b"x", b"xy", b"xyz"):
        for behind in (b"", b"a", b"ab"):
            dresses.append(base64.b64encode(before + plain + behind))
            dresses.append(base64.urlsafe_b64encode(before + plain + behind))
    assert all(occur(marker, b"..." + dress + b"...") == ["it"] for dress in dresses)
    assert occur(marker, b"marta.quist-71c4@marker.example") == []


def test_every_part_of_a_file_is_looked_for():
    data = bytes(at * at % 251 for at in range(20_000))
    looked_for = pieces("file", data)
    assert len(looked_for) > 50
    assert all(occur(looked_for, data[at : at + 2000]) for at in range(0, 18_000, 500))
