"""A server in a network namespace whose only way out leads to a sink, and everything that was seen on that way.

    browser  --(a socket in the file system)--  server, Postgres, MinIO  --(captured)--  sink, provider

Three namespaces: the browser's has no network at all, so that nothing of the browser's is taken for the server's. What
was made is named after this process and taken away again; what a killed run left behind goes at the next start.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import packets

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BIN = os.environ.get("RENDERKEEP_BIN", ROOT / "target/debug/renderkeep")
MINIO = os.environ.get("RENDERKEEP_MINIO", ROOT / "target/minio/minio")
TOOLS = {"ip": "iproute2", "ss": "iproute2", "nft": "nftables", "tcpdump": "tcpdump", "openssl": "openssl", "node": "nodejs"}
PREFIX = "rk-egress-"
NOBODY = 65534

SERVER, GATEWAY = "10.77.0.2", "10.77.0.1"
SERVER_6, GATEWAY_6 = "fd77::2", "fd77::1"
PORT = 8080
# The provider's name, and an address that looks public; whatever goes there ends at the double.
NAME, PUBLIC = "images.provider.example", "93.184.216.34"


def missing():
    """What keeps the proof from running here, in one sentence; or nothing."""
    if os.geteuid() != 0:
        return "The proof of egress makes network namespaces, which only root may. Run it as root."
    packages = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if packages:
        return f"The proof of egress needs {', '.join(packages)}. Install them with: packaging/install.sh network"
    return None


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def sweep():
    """Takes away what runs that were killed have left."""
    for name in {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith(PREFIX)}:
        maker = int(name[len(PREFIX) :].split("-")[0])
        if maker == os.getpid() or not Path(f"/proc/{maker}").exists():
            remove(name)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path(f"/proc/{folder.name[len(PREFIX):].split('-')[0]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def remove(namespace):
    for pid in run("ip", "netns", "pids", namespace).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    run("ip", "netns", "delete", namespace)


class House:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.folder.chmod(0o755)
        self.inside, self.outside, self.desk = (f"{PREFIX}{os.getpid()}-{name}" for name in ("in", "out", "desk"))
        self.children = []
        self.server = self.double = self.ready = None

    def __enter__(self):
        try:
            sweep()
            self.connect()
            self.capture()
            self.start("sink", self.outside, sys.executable, HERE / "sink.py", self.sink_record, GATEWAY, f"{NAME}={PUBLIC}")
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for child in reversed(self.children):
            end(child)
        sweep()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def sink_record(self):
        return self.folder / "sink.jsonl"

    @property
    def double_record(self):
        return self.folder / "double.jsonl"

    # Network

    def connect(self):
        for namespace in (self.inside, self.outside, self.desk):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
            # The kernel asks for no routers, so that what is captured was sent by somebody.
            for setting in ("default/router_solicitations", "default/accept_ra", "default/dad_transmits"):
                run("ip", "netns", "exec", namespace, "sysctl", "-qw", f"net/ipv6/conf/{setting}=0")
        run("ip", "link", "add", "way", "netns", self.inside, "type", "veth", "peer", "name", "way", "netns", self.outside)
        for namespace, four, six in ((self.outside, GATEWAY, GATEWAY_6), (self.inside, SERVER, SERVER_6)):
            run("ip", "-n", namespace, "address", "add", f"{four}/30", "dev", "way")
            run("ip", "-n", namespace, "address", "add", f"{six}/64", "dev", "way", "nodad")
            run("ip", "-n", namespace, "link", "set", "way", "up")
        run("ip", "-n", self.inside, "route", "add", "default", "via", GATEWAY)
        run("ip", "-n", self.inside, "route", "add", "default", "via", GATEWAY_6)
        rules = f"""table inet sink {{
            chain led {{
                type nat hook prerouting priority dstnat
                iifname "way" ip daddr {GATEWAY} udp dport 53 accept
                iifname "way" ip daddr {PUBLIC} tcp dport 443 redirect to :8443
                iifname "way" meta l4proto tcp redirect to :9000
                iifname "way" meta l4proto udp redirect to :9001
            }}
        }}
        """
        run("ip", "netns", "exec", self.outside, "nft", "-f", "-", input=rules)
        (self.folder / "resolv.conf").write_text(f"nameserver {GATEWAY}\noptions timeout:2 attempts:1\n")
        (self.folder / "nsswitch.conf").write_text("hosts: files dns\n")

    def within(self, namespace, command):
        """The command in this namespace, whose names the sink resolves. Its process is the command's own."""
        binds = " && ".join(f"mount --bind {self.folder}/{file} /etc/{file}" for file in ("resolv.conf", "nsswitch.conf"))
        script = f'{binds} && exec "$@"' if namespace == self.inside else 'exec "$@"'
        return ["ip", "netns", "exec", namespace, "sh", "-c", script, "sh", *map(str, command)]

    def start(self, name, namespace, *command, env=None):
        """A child that says in its first line that it serves, and ends with its standard input."""
        child = subprocess.Popen(
            self.within(namespace, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True
        )
        self.children.append(child)
        assert child.stdout.readline().strip(), f"{name} did not start"
        return child

    def capture(self):
        self.pcap = self.folder / "way.pcap"
        command = ["tcpdump", "-i", "way", "-w", self.pcap, "-U", "-s", "0", "-n", "--immediate-mode", "-Z", "root"]
        child = subprocess.Popen(self.within(self.outside, command), stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        said = child.stderr.readline()
        assert "listening on" in said, said
        self.tcpdump = child

    def captured(self):
        """All bytes that were captured; ends the capture."""
        time.sleep(0.3)
        self.tcpdump.send_signal(signal.SIGINT)
        said = self.tcpdump.communicate(timeout=10)[1]
        assert "0 packets dropped by kernel" in said, said
        return self.pcap.read_bytes()

    def kept(self):
        """What the sink was told."""
        text = self.sink_record.read_text() if self.sink_record.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    # Server and provider

    def serve(self, **env):
        """`up` with all its children, until it answers."""
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, NOBODY, NOBODY)
        strange = {f"{kind}_PROXY": f"http://{GATEWAY}:3128" for kind in ("HTTP", "HTTPS", "ALL")}
        strange.update({name.lower(): value for name, value in strange.items()})
        settings = {"RENDERKEEP__SUPERVISOR__MINIO": str(MINIO), "RENDERKEEP__INFERENCE__DEMO_FAULTS": "true"}
        command = self.within(self.inside, [BIN, "up", "--data", data, "--port", PORT])
        log = open(self.folder / "server.log", "w")
        self.server = subprocess.Popen(command, env={**os.environ, **strange, **settings, **env}, stdout=log, stderr=log)
        self.children.append(self.server)
        ready = data / "run/ready.json"
        end = time.monotonic() + 90
        while not ready.exists():
            assert self.server.poll() is None and time.monotonic() < end, f"the server did not start\n{self.log()}"
            time.sleep(0.05)
        self.ready = json.loads(ready.read_text())
        socket = self.folder / "passage"
        self.start("relay", self.inside, sys.executable, HERE / "relay.py", "out", PORT, socket)
        self.start("relay", self.desk, sys.executable, HERE / "relay.py", "in", PORT, socket)

    def run_store_as_it_comes(self):
        """MinIO without the settings that the server gives it."""
        data = self.folder / "store"
        data.mkdir()
        os.chown(data, NOBODY, NOBODY)
        env = {"PATH": os.environ["PATH"], "HOME": str(data), "MINIO_ROOT_USER": "renderkeep", "MINIO_ROOT_PASSWORD": "of-a-test"}
        ordinary = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = self.within(self.inside, [*ordinary, MINIO, "server", "--address", "127.0.0.1:9000", data])
        log = open(self.folder / "store.log", "w")
        self.children.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))

    def log(self):
        return (self.folder / "server.log").read_text()[-4000:]

    def command(self, *words):
        """A command of the program beside the running server."""
        return run(*self.within(self.inside, [BIN, *words, "--data", self.folder / "data"])).strip()

    def authority(self):
        """A throw-away authority, and the provider's certificate by it."""
        key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        script = f"""openssl req -x509 {key} -days 2 -subj /CN=house -addext basicConstraints=critical,CA:TRUE \
                -keyout ca.key -out ca.pem &&
            openssl req {key} -subj /CN={NAME} -keyout key.pem -out csr &&
            printf 'subjectAltName=DNS:{NAME}\\nextendedKeyUsage=serverAuth\\n' >ext &&
            openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem"""
        run("sh", "-c", script, cwd=self.folder)
        return self.folder / "ca.pem"

    def provide(self, key):
        """The provider at its public address."""
        program = ROOT / "tests/doubles/openai_server.py"
        tls = ["--tls", self.folder / "cert.pem", self.folder / "key.pem"]
        place = ["--address", "0.0.0.0", "--port", "8443", "--key", key, "--record", self.double_record]
        self.double = self.start("provider", self.outside, sys.executable, program, *place, *tls)

    def provided(self):
        """What came to the provider, byte for byte."""
        lines = [json.loads(line) for line in self.double_record.read_text().splitlines()]
        return [{**line, "received": base64.b64decode(line["received"])} for line in lines]

    def journey(self, provider_key=None):
        """The main job in a browser; gives what it found."""
        result = self.folder / "journey.json"
        owner, provider = self.ready["owner"], None
        if provider_key:
            provider = {"address": f"https://{NAME}", "key": provider_key, "pid": self.double.pid}
        job = {"url": f"http://127.0.0.1:{PORT}", "owner": owner, "provider": provider, "result": str(result)}
        env = {**os.environ, "RENDERKEEP_JOURNEY": json.dumps(job)}
        command = self.within(self.desk, ["node", HERE / "journey.mjs"])
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.log()}"
        return json.loads(result.read_text())

    def halt(self):
        """Ends the server in order, so that what it does at its end is seen too."""
        self.server.terminate()
        assert self.server.wait(60) == 0, self.log()

    def listening(self):
        """Where anybody in the server's namespace takes connections or datagrams."""
        lines = run("ip", "netns", "exec", self.inside, "ss", "-Hltun").splitlines()
        return [line.split()[4].rsplit(":", 1)[0] for line in lines]

    def environment(self, pid):
        text = Path(f"/proc/{pid}/environ").read_bytes().decode()
        return dict(entry.split("=", 1) for entry in text.split("\0") if entry)

    def sent(self, pcap):
        """The packets that came from the server's side."""
        return [packet for packet in packets.read(pcap) if packet.source not in (GATEWAY, GATEWAY_6, PUBLIC)]


def end(child):
    """In order if it can be; at the latest after ten seconds."""
    if child.stdin:
        child.stdin.close()
    elif child.poll() is None:
        child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
