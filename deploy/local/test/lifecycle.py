"""up and down: idempotence, recovery from killed parts and from an unfinished `up`, refusals."""
import json
import os
import shutil
import signal
import subprocess
import time

import harness
from harness import (CLUSTER, ENV, NODES, STATE, check, check_traces, cluster, eventually, must,
                     ready_nodes, start)


def test_up():
    began = time.monotonic()
    done = cluster("up", timeout_s=1800)
    took = time.monotonic() - began
    good = check("up succeeds without terminal and input", done.returncode == 0, done.stderr)
    print(f"        took {took:.0f} s", flush=True)
    check("progress lines with elapsed time", "s] " in done.stderr, done.stderr)
    check("it says how to use kubectl", "cluster kubectl get nodes" in done.stdout, done.stdout)
    began = time.monotonic()
    done = cluster("up")
    check("up of a running cluster says so", done.returncode == 0 and
          "running already" in done.stderr, done)
    print(f"        took {time.monotonic() - began:.0f} s", flush=True)
    return good


def _record(name):
    with open(os.path.join(STATE, "pids", name + ".json"), encoding="ascii") as f:
        return json.load(f)["pid"]


def _recovers(what):
    check(f"status shows the loss of {what}", cluster("status").returncode == 1)
    done = cluster("up")
    check(f"up recovers from the loss of {what}", done.returncode == 0 and
          "running already" not in done.stderr and ready_nodes() == NODES, done.stderr)


def test_crashes():
    os.kill(_record("kube-controller-manager"), signal.SIGKILL)
    _recovers("the controller manager")
    os.kill(_record("etcd"), signal.SIGKILL)
    _recovers("etcd")
    os.kill(_record("node-b"), signal.SIGKILL)
    _recovers("a node")
    for program in ("kubelet", "containerd"):
        before = _inside("node-a", program)
        os.kill(before[0], signal.SIGKILL)
        took = eventually(lambda p=program, b=before: _inside("node-a", p) not in ([], b), 15)
        check(f"a killed {program} is started again by its node", took)
    check("the node stays or becomes Ready", eventually(lambda: ready_nodes() == NODES, 60))
    # A record whose process is gone and whose number is somebody else's: must not be killed.
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        path = os.path.join(STATE, "pids", "kube-scheduler.json")
        os.kill(_record("kube-scheduler"), signal.SIGKILL)
        with open(path, encoding="ascii") as f:
            record = json.load(f)
        with open(path, "w", encoding="ascii") as f:
            json.dump(dict(record, pid=bystander.pid), f)
        _recovers("the scheduler, with its process id used again")
        check("the new owner of the process id is not touched", bystander.poll() is None)
    finally:
        bystander.kill()
        bystander.wait()


def _inside(node, program):
    """Host process ids of the program in the node's network namespace."""
    wanted = os.stat(f"/run/netns/understudy-{node}").st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program and
                    os.stat(f"/proc/{pid}/ns/net").st_ino == wanted):
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_refusals():
    for words, expected in ((["cut", "node-x"], "no node runs a Pod"),
                            (["cut", "default/absent"], "no node runs a Pod default/absent"),
                            (["cut", "a/"], "NAMESPACE/NAME"),
                            (["cut", "control-plane"], "--from"),
                            (["cut", "node-a", "--from", "node-a"], "itself"),
                            (["poweroff", "node-x"], "node-a, node-b, node-c"),
                            (["load-image", "/absent.tar"], "/absent.tar"),
                            (["build-image", "/absent", "/", "t:1", "/tmp/o"], "/absent"),
                            (["exec-net", "node-a"], "needs a command")):
        done = cluster(*words)
        check(f"`{' '.join(words)}` is refused in one sentence", done.returncode == 1 and
              expected in done.stderr and done.stderr.count("\n") == 1, done)
    done = subprocess.run([CLUSTER, "up"], env=dict(ENV, UNDERSTUDY_STATE="/tmp/" + "x" * 60),
                          capture_output=True, text=True, check=False)
    check("a state directory with a too long name is refused", done.returncode == 1 and
          "at most" in done.stderr, done)
    check("no verb is wrong usage", cluster().returncode == 2)


def _kill_up_at(text):
    """Starts `up` and kills it with SIGKILL when it prints a line with the text."""
    up = start("up")
    for line in up.stdout:
        if text in line:
            up.kill()
            break
    up.wait()
    up.stdout.close()
    return up.returncode == -signal.SIGKILL


def test_unfinished(before):
    for text in ("starting etcd", "waiting until"):
        check(f"up killed at `{text}`", _kill_up_at(text))
        done = cluster("status")
        check("status calls it incomplete", done.returncode == 3 and "incomplete" in done.stdout,
              done)
        check("down cleans it up", cluster("down").returncode == 0)
        check_traces("after an unfinished up", before)
    check("up killed once more", _kill_up_at("booting"))
    done = cluster("up")
    check("the next up starts afresh and succeeds", done.returncode == 0 and
          ready_nodes() == NODES, done.stderr)
    # A program of the user's keeps a namespace alive; it must neither die nor stop `down`.
    guest = start("exec-net", "node-b", "--", "sh", "-c", "echo in; exec sleep 600")
    try:
        check("a guest is in the network of node-b", guest.stdout.readline() == "in\n")
        done = cluster("down")
        check("down succeeds although a guest is in a node's network", done.returncode == 0,
              done.stderr)
        check("the guest is not touched", guest.poll() is None)
        check_traces("in spite of the guest", before)
    finally:
        guest.kill()
        guest.communicate()
    check("up once more", cluster("up").returncode == 0)
    done = subprocess.run([CLUSTER, "up"], env=dict(ENV, UNDERSTUDY_STATE="/tmp/understudy-other"),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    check("a second cluster is refused", done.returncode == 1 and
          "another local cluster runs" in done.stderr, done)
    # The records of what runs are gone, and a node is frozen besides.
    must("freeze", "node-a")
    shutil.rmtree(os.path.join(STATE, "pids"))
    done = cluster("down")
    check("down succeeds without records", done.returncode == 0, done.stderr)
    check_traces("without records", before)
    # A reboot: the state directory is there, nothing else is, and it is of another boot.
    os.makedirs(os.path.join(STATE, "pids"))
    with open(os.path.join(STATE, "ready"), "w", encoding="ascii") as f:
        f.write("another boot")
    with open(os.path.join(STATE, "pids", "etcd.json"), "w", encoding="ascii") as f:
        json.dump({"pid": os.getpid(), "start": 1, "boot": "another boot"}, f)
    for name in ("lab", *NODES):
        # Name files outlive a reboot where /run is on a disk.
        with open(f"/run/netns/understudy-{name}", "w", encoding="ascii"):
            pass
    done = cluster("up")
    check("up after a reboot succeeds", done.returncode == 0 and ready_nodes() == NODES,
          done.stderr)
    must("down")
    check_traces("in the end", before)
