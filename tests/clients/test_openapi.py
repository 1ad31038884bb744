"""The published OpenAPI document against the running server, by schemathesis.

Whatever is sent, no answer is a server error and none is undocumented: neither its status, nor its headers, nor its body.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Server

# All of schemathesis' checks but three. `positive_data_acceptance`: a cursor, an id or a reference to something that was
# never made fits its schema and is refused all the same. `max_response_time`: OpenAI's routes answer when the pictures are
# done. `object_level_authorization` wants a second person's token; tests/integration/access.rs tries every route with
# every caller.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
]

# Seconds; about half of it is needed on two cores that do nothing else.
LONGEST = 240


@pytest.fixture
def own_server(request):
    """Its own server: what schemathesis makes and removes is nobody else's business."""
    running = Server({})
    yield running
    if request.session.testsfailed:
        print(running.tail())
    running.remove()


def test_every_answer_is_documented(own_server, tmp_path):
    scopes = ["read", "write", "admin", "tokens"]
    schemathesis = Path(sys.executable).with_name("schemathesis")
    words = [
        schemathesis, "run", f"{own_server.url}/api/openapi.json",
        "--header", f"Authorization: Bearer {own_server.token(None, *scopes)}",
        "--checks", ",".join(CHECKS),
        "--max-examples", os.environ.get("RENDERKEEP_EXAMPLES", "12"),
        "--exclude-path", "/api/v1/events",  # an answer without an end
        # A catalog id holds a slash, which schemathesis keeps out of paths: hardly any is left.
        "--suppress-health-check", "filter_too_much",
        "--request-timeout", "120",
        "--generation-deterministic", "--no-color", "--continue-on-failure",
    ]
    done = subprocess.run(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST
    )
    assert done.returncode == 0, done.stdout
    assert "Tested: 0" not in done.stdout, done.stdout
