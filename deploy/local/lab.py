"""What the demo, the end-to-end tests and the failover report share: kubectl, a Redis client that
works inside a node's network, and waiting for conditions instead of sleeping."""
import contextlib
import ctypes
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = str(ROOT / "deploy" / "local" / "cluster")
SYSTEM = "understudy-system"
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class Failure(Exception):
    """Something did not work; the message says what."""


def cluster(*args, check=True, stdin=None, timeout=300):
    done = subprocess.run([CLUSTER, *args], capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    if check and done.returncode:
        raise Failure(f"cluster {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kubectl(*args, check=True, stdin=None, timeout=120):
    return cluster("kubectl", *args, check=check, stdin=stdin, timeout=timeout)


def kubectl_refused(*args, stdin=None):
    """The error text of a kubectl call that must fail."""
    done = subprocess.run([CLUSTER, "kubectl", *args], capture_output=True, text=True, input=stdin, timeout=120,
                          check=False)
    if done.returncode == 0:
        raise Failure(f"kubectl {' '.join(args)} was accepted: {done.stdout.strip()}")
    return done.stderr


def make_namespace(name):
    """Applied, not created: kubectl itself repeats a POST that the API server answered with 5xx and Retry-After,
    and finds AlreadyExists when the first one was stored after all. One that is being deleted has to go first: it
    takes the application of what is in it still."""
    until(f"namespace {name} of before is gone",
          lambda: not (get("namespace", name, None) or {"metadata": {}})["metadata"].get("deletionTimestamp"), 120)
    kubectl("apply", "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")


def get(kind, name=None, ns="default"):
    """The object, or the list's items; None if it does not exist."""
    args = ["get", kind, *([name] if name else []), "-o", "json"] + (["-n", ns] if ns else ["-A"])
    done = subprocess.run([CLUSTER, "kubectl", *args], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        if "NotFound" in done.stderr:
            return None
        raise Failure(f"kubectl get {kind} {name or ''}: {done.stderr.strip()}")
    document = json.loads(done.stdout)
    return document if name else document["items"]


def commit():
    """Of this checkout, for a report to say what it measured; ends in -dirty when files differ from it."""
    return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def diagnosis(ns):
    """What a person would look at first when something in a namespace is not as it should be."""
    parts = []
    for args in (["get", "understudy,pods,endpointslices", "-n", ns, "-o", "wide"],
                 ["get", "rg,ccl,rr", "-n", ns, "-o", "yaml"],
                 ["get", "events", "-n", ns, "--sort-by=.metadata.creationTimestamp"],
                 ["logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=understudy", "--tail=100", "--prefix"]):
        parts.append(f"--- kubectl {' '.join(args)}\n{kubectl(*args, check=False)[-20000:]}")
    return "\n".join(parts)


def apply(text):
    return kubectl("apply", "-f", "-", stdin=text)


def until(what, condition, timeout=60, every=0.1):
    """The condition's first true value. An exception in it counts as 'not yet' and is told at the end."""
    end, error = time.monotonic() + timeout, None
    while True:
        try:
            value = condition()
            if value:
                return value
            error = None
        except (Failure, OSError, KeyError, TypeError, IndexError, ValueError) as problem:
            error = problem
        if time.monotonic() > end:
            raise Failure(f"not within {timeout} s: {what}" + (f" ({error})" if error else ""))
        time.sleep(every)


def condition(obj, kind):
    for one in (obj or {}).get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one
    return {}


@contextlib.contextmanager
def inside(node):
    """Sockets that this thread makes in the body belong to the network of a node, or of a process (its pid)."""
    network = f"/proc/{node}/ns/net" if isinstance(node, int) else f"/run/netns/understudy-{node}"
    with open("/proc/thread-self/ns/net", "rb") as home, open(network, "rb") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter the network of {node}")
        try:
            yield
        finally:
            if _libc.setns(home.fileno(), CLONE_NEWNET):
                os._exit(3)  # never go on in the wrong network


class ReplyError(Exception):
    """The server's `-…` line."""


class Redis:
    """A connection from a node's network to host:port. Not thread-safe."""

    def __init__(self, node, host, port=6379, timeout=2.0):
        with inside(node):
            self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self._reply()

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the server")
        self.buffer += data

    def _reply(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            while len(self.buffer) < size + 2:
                self._more()
            value, self.buffer = self.buffer[:size], self.buffer[size + 2:]
            return value.decode("utf-8", "replace")
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        raise ConnectionError(f"not a RESP2 reply: {line!r}")

    def close(self):
        self.socket.close()


class Writer(threading.Thread):
    """Writes increasing numbers to one key's family and notes every acknowledgement, as a client does that
    gives up on a connect or a request after `patience` seconds and reconnects at once."""

    def __init__(self, node, host, port=6379, patience=0.1, pause=0.002, prefix="w"):
        super().__init__(daemon=True)
        self.node, self.host, self.port, self.patience, self.pause, self.prefix = node, host, port, patience, pause, prefix
        self.acks = []      # (number, sent, acknowledged), monotonic seconds
        self.errors = []    # (time, text)
        self.stopping = threading.Event()

    def run(self):
        number, connection = 0, None
        while not self.stopping.is_set():
            number += 1
            sent = time.monotonic()
            try:
                if connection is None:
                    connection = Redis(self.node, self.host, self.port, self.patience)
                    connection.socket.settimeout(self.patience)
                    sent = time.monotonic()
                if connection("SET", f"{self.prefix}:{number % 1000}", number) == "OK":
                    self.acks.append((number, sent, time.monotonic()))
            except ReplyError as error:
                self.errors.append((time.monotonic(), str(error)))
                if str(error).startswith("READONLY"):
                    connection.close()
                    connection = None
            except OSError as error:
                self.errors.append((time.monotonic(), str(error) or type(error).__name__))
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(self.pause)
        if connection is not None:
            connection.close()

    def stop(self):
        self.stopping.set()
        self.join(10)
        return self

    def gap(self, since):
        """Longest time without an acknowledgement after `since`, seconds: from the last one before."""
        times = [a for _, _, a in self.acks]
        longest = 0.0
        for before, after in zip(times, times[1:]):
            if after >= since:
                longest = max(longest, after - before)
        return longest


def pod_of(name, ns="default"):
    return get("pod", f"{name}-0", ns)


def pod_ip(name, ns="default"):
    return pod_of(name, ns)["status"]["podIP"]


def service_ip(name, ns="default"):
    return get("service", name, ns)["spec"]["clusterIP"]


def node_pids(name, ns="default"):
    """Host pids of the cache process of a Pod."""
    return [int(pid) for pid in cluster("pids", f"{ns}/{name}-0").split()]


def leader():
    """The Pod that the Lease names; a killed leader's name stays in it until another has taken over."""
    def held():
        holder = get("lease", "understudy-operator", SYSTEM)["spec"].get("holderIdentity", "").rsplit("_", 1)[0]
        return next((p for p in operator_pods() if p["metadata"]["name"] == holder), None)
    return until("an operator that leads", held, 60)


def leader_pod():
    return leader()["metadata"]["name"]


def leader_host():
    return leader()["spec"]["nodeName"]


def operator_pods():
    """Those that run and are not being deleted."""
    return [p for p in get("pods", ns=SYSTEM) if p["metadata"]["labels"].get("app.kubernetes.io/name") == "understudy"
            and p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]


def operators_on(wanted):
    """Ready operator Pods on hosts that `wanted` accepts."""
    return [p for p in operator_pods() if wanted(p["spec"]["nodeName"])
            and any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))]


def move_leader(wanted):
    """Deletes operator Pods until the one that leads is on a host that `wanted` accepts."""
    nodes = ("node-a", "node-b", "node-c")
    for _ in range(10):
        leading = leader()
        if wanted(leading["spec"]["nodeName"]):
            return
        name = leading["metadata"]["name"]
        if not operators_on(wanted):
            others = [n for n in nodes if not wanted(n)]
            kubectl("cordon", *others)
            try:
                for pod in operator_pods():
                    if pod["metadata"]["name"] != name:
                        kubectl("delete", "pod", pod["metadata"]["name"], "-n", SYSTEM)
                until("a standby on a wanted host", lambda: operators_on(wanted), 60)
            finally:
                kubectl("uncordon", *others)
        kubectl("delete", "pod", name, "-n", SYSTEM)
        until("another leader", lambda: leader_pod() != name, 60)
        until("two operators", lambda: len(operators_on(lambda host: True)) == 2, 60)
    raise Failure("the leading operator could not be placed")


def install(image):
    """The chart with this image. Operators that ran before are started anew: the image may be another one under the
    same name."""
    ran = get("deployment", "understudy-operator", SYSTEM) is not None
    cluster("helm", "upgrade", "--install", "understudy", str(ROOT / "charts/understudy"), "-n", SYSTEM, "--create-namespace",
            "--set", f"image.reference={image}", "--wait", "--timeout", "180s")
    if ran:
        kubectl("rollout", "restart", "deployment", "understudy-operator", "-n", SYSTEM)
        kubectl("rollout", "status", "deployment", "understudy-operator", "-n", SYSTEM, "--timeout=120s")
