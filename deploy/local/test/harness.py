"""What the self-test needs: running the command, counting checks, waiting, looking at the host."""
import contextlib
import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CLUSTER = os.path.join(HERE, "cluster")
ENV = dict(os.environ, CI="true")
STATE = os.path.abspath(os.environ.get("UNDERSTUDY_STATE") or "/var/lib/understudy-local")
NODES = ["node-a", "node-b", "node-c"]
NODE_ADDRESSES = {"node-a": "198.18.0.11", "node-b": "198.18.0.12", "node-c": "198.18.0.13"}
IMAGE = "understudy-selftest:1"

passed = 0
failed = []


def check(name, good, detail=""):
    global passed
    if good:
        passed += 1
        print(f"  ok    {name}", flush=True)
    else:
        failed.append(name)
        print(f"  FAIL  {name}{': ' + str(detail)[-1500:] if detail != '' else ''}", flush=True)
    return good


def cluster(*args, timeout_s=600, text_input=None, cwd=None):
    """Runs deploy/local/cluster as CI would: no terminal, no standard input."""
    return subprocess.run([CLUSTER, *args], env=ENV, cwd=cwd, timeout=timeout_s, check=False,
                          capture_output=True, text=True,
                          **({"input": text_input} if text_input is not None
                             else {"stdin": subprocess.DEVNULL}))


def must(*args, **kwargs):
    done = cluster(*args, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"cluster {' '.join(args)}: code {done.returncode}: {done.stderr}")
    return done.stdout


def start(*args, stdin=subprocess.DEVNULL):
    return subprocess.Popen([CLUSTER, *args], env=ENV, stdin=stdin,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def objects(*args):
    return json.loads(must("kubectl", "get", *args, "-o", "json"))


def eventually(condition, timeout_s):
    """Waits for condition() to be true; returns the seconds it took, or None."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            if condition():
                return time.monotonic() - began
        time.sleep(0.3)
    return None


def ready_nodes():
    return sorted(item["metadata"]["name"] for item in objects("nodes")["items"]
                  for c in item["status"]["conditions"]
                  if c["type"] == "Ready" and c["status"] == "True")


def pods():
    """Running test Pods by node: {node: item}."""
    return {item["spec"]["nodeName"]: item for item in objects("pods", "-l", "app=echo")["items"]
            if item["status"].get("phase") == "Running" and
            not item["metadata"].get("deletionTimestamp")}


def ask(place, host, timeout_s=3):
    """What the echo server at host:80 says when asked from a node's or Pod's network; None when
    it does not answer in time."""
    script = (f"import socket\ns = socket.create_connection(('{host}', 80), {timeout_s})\n"
              "s.sendall(b'who\\n')\nprint(s.makefile().readline().strip())")
    done = cluster("exec-net", place, "--", "python3", "-c", script, timeout_s=60)
    return done.stdout.strip() if done.returncode == 0 else None


def datagram_arrives(source, target, address, port=4321):
    """Whether UDP datagrams from one network arrive in another. The receiver says when it listens,
    and looks what has come when the sender has ended, so a slow machine changes nothing."""
    receiver = start("exec-net", target, "--", "python3", "-c",
                     "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     f"s.bind(('0.0.0.0', {port}))\nprint('listening', flush=True)\ninput()\n"
                     "s.settimeout(1)\nprint(s.recvfrom(100)[0].decode())", stdin=subprocess.PIPE)
    assert receiver.stdout.readline() == "listening\n", receiver.communicate()
    must("exec-net", source, "--", "python3", "-c",
         "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
         f"for _ in range(5): s.sendto(b'hello', ('{address}', {port}))")
    output, _ = receiver.communicate("look\n", timeout=60)
    return "hello" in output


def traces():
    """Everything on the host that the cluster could leave behind."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = sorted(line.split()[4] for line in f)
    groups = []
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        groups += [os.path.join(top, n) for n in names if "understudy" in n or "kubepods" in n]
    processes = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = b"UNDERSTUDY_LOCAL_STATE=" in f.read()
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
                ours = ours or "/understudy-node-" in f.read()
            if ours:
                processes.append((int(pid), program))
    sysctls = {}
    for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops",
                 "kernel/keys/root_maxkeys", "fs/inotify/max_user_instances"):
        with open("/proc/sys/" + name, encoding="ascii") as f:
            sysctls[name] = f.read().strip()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "mounts": [m for m in mounts if "/run/netns" not in m], "cgroups": sorted(groups),
        "processes": sorted(processes), "sysctls": sysctls,
        "links": sorted(line.split(":")[1].strip() for line in links.splitlines()),
        "files": [p for p in (STATE, "/var/lib/kubelet", "/run/containerd", "/var/lib/cni",
                              "/var/log/pods", "/var/log/containers", "/opt/containerd",
                              "/usr/libexec/kubernetes", "/etc/cni/net.d") if os.path.exists(p)],
    }


def check_traces(name, before):
    after = traces()
    for key, value in before.items():
        check(f"{name}: {key} as before", after[key] == value, f"{value} -> {after[key]}")
