"""The verbs of `deploy/local/cluster`."""
import argparse
import contextlib
import fcntl
import os
import sys

import binaries
import control_plane
import faults
import images
import lifecycle
import network
import node as nodes
import pods
import settings
from progress import Failure, say

_NODE = "NODE is node-a, node-b or node-c."
_TARGET = _NODE + " POD is NAMESPACE/NAME (or NAME in `default`)."


@contextlib.contextmanager
def _exclusive():
    """One change of the cluster at a time."""
    os.makedirs(os.path.dirname(settings.LOCK), exist_ok=True)
    with open(settings.LOCK, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `cluster` command to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _node(name):
    node = settings.find_node(name)
    if node is None:
        raise Failure(f"`{name}` is not a node; nodes are "
                      f"{', '.join(n.name for n in settings.NODES)}")
    return node


def _exec(argv, env=None):
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], argv, env or os.environ)
    except FileNotFoundError as error:
        raise Failure(f"{argv[0]} is not installed; run `cluster setup`") from error


def _in_lab(program, args):
    if not network.exists(settings.LAB_NETNS):
        raise Failure("the local cluster is not up; run `cluster up`")
    env = dict(os.environ, KUBECONFIG=settings.KUBECONFIG)
    _exec(settings.in_netns(settings.LAB_NETNS, [binaries.require(program), *args]), env)


def _up(_):
    with _exclusive():
        lifecycle.up()


def _down(_):
    with _exclusive():
        lifecycle.down()
    say("the cluster is down")


def _status(_):
    return lifecycle.status()


def _setup(_):
    with _exclusive():
        lifecycle.setup()
    say("everything is installed and built")


def _cut(args):
    with _exclusive():
        faults.cut(args.target, args.second, args.one_way)


def _heal(_):
    with _exclusive():
        say(f"{faults.heal()} cuts healed")


def _poweroff(args):
    node = _node(args.node)
    with _exclusive():
        nodes.power_off(node)


def _start(args):
    node = _node(args.node)
    with _exclusive():
        if nodes.is_running(node):
            say(f"{node.name} runs already")
            return
        if control_plane.api_ready():
            nodes.register(node)
        nodes.boot(node)
        current = faults.load()
        faults.apply(current, [node.netns])
        faults.apply_link(node, current)
        nodes.wait_booted(node)


def _freeze(args):
    with _exclusive():
        faults.freeze(args.target)


def _thaw(args):
    with _exclusive():
        faults.thaw(args.target)


def _apiserver(args):
    with _exclusive():
        if args.action == "stop":
            if not control_plane.stop_apiserver():
                say("the API server did not run")
        elif not control_plane.start_apiserver():
            say("the API server runs already")


def _command(args, default):
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    return words or default


def _shell(args):
    pid = nodes.init_pid(_node(args.node))
    if pid is None:
        raise Failure(f"{args.node} is not running")
    command = _command(args, [os.environ.get("SHELL", "/bin/bash")])
    # So that plain `ctr` speaks to this node's containerd.
    env = dict(os.environ, CONTAINERD_ADDRESS=_node(args.node).containerd_socket,
               CONTAINERD_NAMESPACE="k8s.io")
    _exec(["nsenter", f"--target={pid}", "--mount", "--uts", "--net", "--pid", "--", *command],
          env)


def _exec_net(args):
    command = _command(args, None)
    if not command:
        raise Failure("exec-net needs a command: cluster exec-net NODE -- CMD…")
    node = settings.find_node(args.target)
    if node is not None:
        netns = settings.netns_path(node.netns)
    elif args.target == settings.CONTROL_PLANE:
        netns = settings.netns_path(settings.LAB_NETNS)
    else:
        netns = f"/proc/{pods.find(args.target).sandbox_pid}/ns/net"
    resolv = settings.NODES[0].path("resolv.conf")
    _exec(["nsenter", f"--net={netns}", "--", "unshare", "--mount", "--", "sh", "-c",
           'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv, *command],
          dict(os.environ, KUBECONFIG=settings.KUBECONFIG))


def _load_image(args):
    images.load(args.archive)


def _build_image(args):
    images.build(args.dockerfile, args.context, args.tag, args.output)


def _kubeconfig(_):
    print(settings.KUBECONFIG)


def _pids(args):
    pod = pods.find(args.pod)
    for container in pod.containers:
        if container.is_sandbox or args.container not in (None, container.name):
            continue
        for pid in container.pids:
            print(f"{pid} {container.name}" if args.long else pid)


def _parser():
    parser = argparse.ArgumentParser(
        prog="cluster",
        description="A real Kubernetes with three nodes on this machine. " + _TARGET)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, function, text, cluster=False, root=True):
        sub = verbs.add_parser(name, help=text, description=text + ".")
        sub.set_defaults(function=function, needs_cluster=cluster, needs_root=root)
        return sub

    verb("up", _up, "install, build and start whatever is missing; ends all faults")
    verb("down", _down, "remove everything but the caches")
    verb("status", _status, "what runs and what is cut; exit code 0 all runs, 1 not all, 3 down")
    verb("setup", _setup, "only install and build")
    # These two are handled before argparse, which would take their options for its own.
    for name in ("kubectl", "helm"):
        verb(name, None, f"run {name} with the usual arguments against the cluster")
    sub = verb("cut", _cut, "cut the target's network: from everything, or from one other", True)
    sub.add_argument("target", metavar="NODE|POD", help=_TARGET)
    sub.add_argument("--from", dest="second", metavar="NODE|POD",
                     help="only from this one; `control-plane` is allowed too")
    sub.add_argument("--one-way", action="store_true",
                     help="drop only what the target sends, not what it receives")
    verb("heal", _heal, "end all cuts", True)
    sub = verb("poweroff", _poweroff, "pull the node's link, then kill all its processes", True)
    sub.add_argument("node", metavar="NODE")
    sub = verb("start", _start, "boot a node that is off; does not wait until it is Ready", True)
    sub.add_argument("node", metavar="NODE")
    sub = verb("freeze", _freeze, "stop all processes of a node, or of a Pod's containers", True)
    sub.add_argument("target", metavar="NODE|POD", help=_TARGET)
    sub = verb("thaw", _thaw, "let them go on", True)
    sub.add_argument("target", metavar="NODE|POD", help=_TARGET)
    sub = verb("apiserver", _apiserver, "kill the API server, or start it with the same data", True)
    sub.add_argument("action", choices=["stop", "start"])
    sub = verb("shell", _shell, "run a command inside a node, or a shell", True)
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD…")
    sub = verb("exec-net", _exec_net, "run a command of the host in the network of a node, a Pod "
               "or the control-plane", True)
    sub.add_argument("target", metavar="NODE|POD", help=_TARGET)
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD…")
    sub = verb("load-image", _load_image, "import an image archive into every node", True)
    sub.add_argument("archive", metavar="ARCHIVE")
    sub = verb("build-image", _build_image, "build a Dockerfile and write an image archive")
    for name in ("dockerfile", "context", "tag", "output"):
        sub.add_argument(name, metavar={"output": "OUT.tar"}.get(name, name.upper()))
    verb("kubeconfig", _kubeconfig, "print the path of the kubeconfig file", root=False)
    sub = verb("pids", _pids, "print the host process ids of a Pod's containers, each container's "
               "first process first", True)
    sub.add_argument("pod", metavar="POD")
    sub.add_argument("-c", "--container", help="only this container's")
    sub.add_argument("-l", "--long", action="store_true", help="add the container's name")
    return parser


def main(argv):
    # Not in the PATH of every cron job or CI system.
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    try:
        if argv[:1] == ["kubectl"] or argv[:1] == ["helm"]:
            lifecycle.check_machine()
            return _in_lab(argv[0], argv[1:])
        args = _parser().parse_args(argv)
        if args.needs_root:
            lifecycle.check_machine()
        if args.needs_cluster:
            lifecycle.require_up()
        return args.function(args) or 0
    except (Failure, OSError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
