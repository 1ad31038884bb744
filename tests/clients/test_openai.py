"""The official openai client, unmodified and from its package, against this server.

What a program written for OpenAI does must work here by changing its base address and its key.
"""

import base64
import json
import struct
import urllib.request
import zlib

import openai
import pytest

GRADIENT = "a gradient in teal"
SMALL = "512x512"
PAINTER = "demo/painter"


def png(width: int, height: int, pixel) -> bytes:
    """A PNG with alpha whose pixels `pixel(x, y)` gives as four bytes."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PHOTO = png(128, 128, lambda x, y: (2 * x, 2 * y, 90, 255))
# Alpha 0 is what may be painted: the right half.
MASK = png(128, 128, lambda x, y: (0, 0, 0, 255 if x < 64 else 0))


def kind(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return "jpeg" if data.startswith(b"\xff\xd8\xff") else repr(data[:12])


def png_size(data: bytes) -> tuple[int, int]:
    return struct.unpack(">II", data[16:24])


def pictures(answer) -> list[bytes]:
    return [base64.b64decode(one.b64_json, validate=True) for one in answer.data]


class Calls:
    """A client that counts the requests it really sends."""

    def __init__(self, url: str, key: str, **options):
        self.sent = 0
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, timeout=60, **options)
        self.client._client.event_hooks["request"].append(self._count)

    def _count(self, _request):
        self.sent += 1


@pytest.fixture
def calls(server, token):
    calls = Calls(server.url, token)
    with calls.client:
        yield calls


@pytest.fixture
def client(calls) -> openai.OpenAI:
    return calls.client


class Api:
    """Our own API, to see what the client's calls left behind."""

    def __init__(self, url: str, token: str):
        self.base, self.token = f"{url}/api/v1", token

    def call(self, method: str, path: str, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def newest(self) -> dict:
        return self.call("GET", "/generations?limit=1")["items"][0]

    def count(self) -> int:
        return len(self.call("GET", "/generations?limit=200")["items"])


@pytest.fixture
def api(server, token) -> Api:
    return Api(server.url, token)


@pytest.fixture
def capped(server, api):
    """A client of a person who may spend nothing, and what it left behind."""
    mail = "capped@example.org"
    server.command("user", "add", "--mail", mail, "--name", "Capped")
    token = server.token(mail)
    person = Api(server.url, token).call("GET", "/me")["person"]["id"]
    limit = {"micros": 0, "currency": "EUR"}
    admin = Api(server.url, server.token(None, "read", "write", "admin"))
    admin.call("PUT", "/admin/caps", {"scope": "person", "subject": person, "period": "month", "limit": limit})
    calls = Calls(server.url, token)
    with calls.client:
        yield calls, Api(server.url, token)


def test_a_picture_comes_as_base64(client):
    answer = client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL)
    (picture,) = pictures(answer)
    assert (kind(picture), png_size(picture)) == ("png", (512, 512))
    assert answer.data[0].url is None
    assert answer.created > 1_700_000_000


def test_two_pictures_differ(client):
    first, second = pictures(client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL, n=2))
    assert first != second


def test_a_picture_comes_as_an_address_that_needs_no_key(client, server):
    answer = client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL, response_format="url")
    assert answer.data[0].b64_json is None
    url = answer.data[0].url
    assert url.startswith(server.url + "/")
    with urllib.request.urlopen(url, timeout=30) as picture:
        assert picture.headers["Content-Type"] == "image/png"
        assert png_size(picture.read()) == (512, 512)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url[:-4] + ("AAAA" if url[-4:] != "AAAA" else "BBBB"), timeout=30)
    assert refused.value.code == 404


def test_the_same_seed_is_the_same_picture(client, api):
    def paint(seed):
        return pictures(client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL, extra_body={"seed": seed}))

    first, again, other = paint(7), paint(7), paint(8)
    assert first == again
    assert first != other
    assert api.newest()["seed"] == 8


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_format_is_what_was_asked_for(client, output_format):
    answer = client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL, output_format=output_format)
    assert kind(pictures(answer)[0]) == output_format
    assert answer.output_format == output_format


def test_an_edit_starts_from_the_uploaded_picture(client, api):
    def edit():
        return client.images.edit(
            model=PAINTER, image=("photo.png", PHOTO, "image/png"), prompt="warmer", size=SMALL, extra_body={"seed": 3}
        )

    (edited,) = pictures(edit())
    (painted,) = pictures(
        client.images.generate(model=PAINTER, prompt="warmer", size=SMALL, extra_body={"seed": 3})
    )
    assert png_size(edited) == (512, 512)
    assert edited != painted
    assert pictures(edit()) == [edited]
    assert [one["role"] for one in api.newest()["references"]] == ["reference"]


def test_an_edit_with_a_mask(client, api):
    def edit(**options):
        answer = client.images.edit(
            model=PAINTER, image=("photo.png", PHOTO, "image/png"), prompt="a red sun", size=SMALL,
            extra_body={"seed": 5}, **options,
        )
        return pictures(answer)[0]

    masked = edit(mask=("mask.png", MASK, "image/png"))
    assert sorted(one["role"] for one in api.newest()["references"]) == ["mask", "reference"]
    assert png_size(masked) == (512, 512)
    assert masked != edit()


def test_a_stream_sends_partial_images_and_then_the_picture(client):
    events = list(
        client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL, stream=True, partial_images=2)
    )
    *partials, last = events
    assert [event.type for event in partials] == ["image_generation.partial_image"] * len(partials)
    assert 1 <= len(partials) <= 2
    assert [event.partial_image_index for event in partials] == list(range(len(partials)))
    assert all(kind(base64.b64decode(event.b64_json)) == "jpeg" for event in partials)
    assert last.type == "image_generation.completed"
    assert png_size(base64.b64decode(last.b64_json)) == (512, 512)


def test_a_stream_of_an_edit(client):
    events = list(
        client.images.edit(
            model=PAINTER, image=("photo.png", PHOTO, "image/png"), prompt="warmer", size=SMALL, stream=True
        )
    )
    assert [event.type for event in events] == ["image_edit.completed"]


def test_a_stream_of_what_fails_raises(client):
    with pytest.raises(openai.APIError, match="refused"):
        list(client.images.generate(model="demo/fail", prompt=GRADIENT, size=SMALL, stream=True))


def test_models_are_listed_and_found(client):
    ids = [model.id for model in client.models.list()]
    assert PAINTER in ids
    found = client.models.retrieve(PAINTER)
    assert (found.id, found.object) == (PAINTER, "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("demo/nobody")


def test_an_unknown_model_is_not_found(client, api):
    before = api.count()
    with pytest.raises(openai.NotFoundError) as error:
        client.images.generate(model="demo/nobody", prompt=GRADIENT)
    assert error.value.code == "model_not_found"
    assert "demo/nobody" in error.value.message
    assert api.count() == before


def test_a_wrong_key_is_refused(server):
    calls = Calls(server.url, "rk_this-is-no-token")
    with calls.client, pytest.raises(openai.AuthenticationError) as error:
        calls.client.images.generate(model=PAINTER, prompt=GRADIENT)
    assert error.value.code == "invalid_api_key"
    assert calls.sent == 1


def test_a_reached_cap_is_an_empty_account_and_not_tried_again(capped):
    calls, api = capped
    with pytest.raises(openai.RateLimitError) as error:
        calls.client.images.generate(model=PAINTER, prompt=GRADIENT, size=SMALL)
    assert error.value.code == "insufficient_quota"
    assert error.value.response.headers["x-should-retry"] == "false"
    assert calls.sent == 1
    assert api.count() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("style", "vivid"), ("moderation", "low"), ("quality", "ultra"), ("background", "transparent"), ("n", 99), ("size", "13x13")],
)
def test_what_the_model_has_not_is_refused_by_name(calls, api, name, value):
    before = api.count()
    with pytest.raises(openai.BadRequestError) as error:
        calls.client.images.generate(**{"model": PAINTER, "prompt": GRADIENT, "size": SMALL, name: value})
    assert error.value.param == name
    assert calls.sent == 1
    assert api.count() == before


def test_an_unknown_parameter_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(model=PAINTER, prompt=GRADIENT, extra_body={"sampler": "euler"})
    assert error.value.param == "sampler"


def test_a_picture_that_is_none_is_refused(client, api):
    before = api.count()
    with pytest.raises(openai.BadRequestError):
        client.images.edit(model=PAINTER, image=("photo.png", PHOTO[:300], "image/png"), prompt="warmer")
    assert api.count() == before


def test_a_failed_provider_is_told_once_and_charged_nothing(calls, api):
    before = api.count()
    with pytest.raises(openai.APIStatusError) as error:
        calls.client.images.generate(model="demo/fail", prompt=GRADIENT, size=SMALL)
    assert error.value.status_code == 502
    assert error.value.response.headers["x-should-retry"] == "false"
    assert calls.sent == 1
    assert api.count() == before + 1
    made = api.newest()
    assert made["state"] == "failed"
    assert made["error"]["charged"]["micros"] == 0


def test_a_request_that_the_client_repeats_joins_the_first(server, token, api):
    """The client sends no key; its own retry carries a count, the same token and the same body."""
    before = api.count()
    first = Calls(server.url, token)
    with first.client as client:
        made = client.images.generate(model=PAINTER, prompt="a gradient, once", size=SMALL)
        again = client.images.generate(
            model=PAINTER, prompt="a gradient, once", size=SMALL, extra_headers={"x-stainless-retry-count": "1"}
        )
    assert pictures(made) == pictures(again)
    assert api.count() == before + 1


def test_every_error_names_its_request(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("demo/nobody")
    assert error.value.request_id
