"""What the client tests share: one Renderkeep of their own on a free port for the whole run.

The tests use published clients unmodified; nothing here stands between them and the server.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("RENDERKEEP_BIN", ROOT / "target/debug/renderkeep"))
NOBODY = 65534  # who the server becomes when it is started as root


class Server:
    """`renderkeep up` on a data directory below /tmp."""

    def __init__(self, env: dict[str, str]):
        self.dir = Path(tempfile.mkdtemp(prefix="renderkeep-test-"))
        self.dir.chmod(0o755)  # the server leaves root behind and must still reach its data
        if os.getuid() == 0:
            os.chown(self.dir, NOBODY, NOBODY)
        self.data = self.dir / "data"
        self.log = self.dir / "server.log"
        self.env = {**os.environ, **env}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [BIN, "up", "--data", self.data, "--port", "0"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env,
            )
        try:
            self.ready = self._answers()
        except BaseException as error:
            self.remove()
            raise RuntimeError(f"{error}\n{self.last_lines}") from error

    def _answers(self) -> dict:
        file = self.data / "run/ready.json"
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended while starting ({self.process.returncode})")
            try:
                return json.loads(file.read_text())
            except (OSError, ValueError):
                time.sleep(0.05)
        raise RuntimeError("the server did not become ready within 90 s")

    @property
    def url(self) -> str:
        return self.ready["url"].rstrip("/")

    @property
    def owner(self) -> str:
        return self.ready["owner"]["mail"]

    def command(self, *args: str) -> str:
        """What a `renderkeep` command on this data prints."""
        words = [str(BIN), *args[:2], "--data", str(self.data), *args[2:]]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(args)}: {done.stderr}\n{self.tail()}"
        return done.stdout.strip()

    def token(self, person: str | None = None, *scopes: str) -> str:
        chosen = [word for scope in scopes for word in ("--scope", scope)]
        return self.command("token", "create", "--person", person or self.owner, *chosen)

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-60:]
        return "\n".join(["--- the server's last lines", *lines])

    def remove(self) -> None:
        """Ends the server in order and removes its data."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server ignored SIGTERM for 30 s\n{self.tail()}") from None
        finally:
            self.last_lines = self.tail()
            shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="session")
def server(request):
    running = Server({"RENDERKEEP__INFERENCE__DEMO_FAULTS": "true"})
    yield running
    if request.session.testsfailed:
        print(running.tail())
    running.remove()


@pytest.fixture(scope="session")
def token(server) -> str:
    return server.token()
