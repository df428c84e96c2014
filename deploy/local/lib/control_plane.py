"""etcd, API server, controller manager and scheduler: plain processes in the lab namespace."""
import os
import subprocess

import binaries
import pki
import procs
import settings
from progress import Failure, say, wait_for

_NAMES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
_LOOPBACK = "127.0.0.1"


def _etcd():
    return [
        f"--data-dir={os.path.join(settings.STATE, 'etcd')}", "--name=lab",
        f"--listen-client-urls=http://{_LOOPBACK}:2379",
        f"--advertise-client-urls=http://{_LOOPBACK}:2379",
        f"--listen-peer-urls=http://{_LOOPBACK}:2380",
        f"--initial-advertise-peer-urls=http://{_LOOPBACK}:2380",
        f"--initial-cluster=lab=http://{_LOOPBACK}:2380",
        # A test cluster need not survive the machine, only its own processes.
        "--unsafe-no-fsync", "--log-level=warn",
    ]


def _apiserver():
    key = pki.path
    return [
        f"--etcd-servers=http://{_LOOPBACK}:2379",
        "--bind-address=0.0.0.0", f"--secure-port={settings.API_PORT}",
        f"--advertise-address={settings.API_ADDRESS}",
        f"--service-cluster-ip-range={settings.SERVICE_CIDR}",
        f"--tls-cert-file={key('apiserver.crt')}",
        f"--tls-private-key-file={key('apiserver.key')}",
        f"--client-ca-file={key('ca.crt')}",
        f"--kubelet-certificate-authority={key('ca.crt')}",
        f"--kubelet-client-certificate={key('apiserver-kubelet-client.crt')}",
        f"--kubelet-client-key={key('apiserver-kubelet-client.key')}",
        # There is no DNS for node names.
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={key('service-account.pub')}",
        f"--service-account-signing-key-file={key('service-account.key')}",
        f"--service-account-issuer=https://kubernetes.default.svc.{settings.CLUSTER_DOMAIN}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--requestheader-client-ca-file={key('front-proxy-ca.crt')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={key('front-proxy-client.crt')}",
        f"--proxy-client-key-file={key('front-proxy-client.key')}",
        # The lab namespace has no kube-proxy: webhooks and aggregated APIs are reached at their
        # Pods' addresses.
        "--enable-aggregator-routing=true",
    ]


def _controller_manager():
    key = pki.path
    config = key("kube-controller-manager.conf")
    return [
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}", f"--bind-address={_LOOPBACK}",
        f"--client-ca-file={key('ca.crt')}", f"--root-ca-file={key('ca.crt')}",
        f"--requestheader-client-ca-file={key('front-proxy-ca.crt')}",
        f"--service-account-private-key-file={key('service-account.key')}",
        f"--cluster-signing-cert-file={key('ca.crt')}",
        f"--cluster-signing-key-file={key('ca.key')}",
        # Its default is a directory of the host, which it makes.
        f"--flex-volume-plugin-dir={os.path.join(settings.STATE, 'volume-plugins')}",
        "--use-service-account-credentials=true", "--leader-elect=false",
        "--allocate-node-cidrs=true", f"--cluster-cidr={settings.CLUSTER_CIDR}",
        f"--node-cidr-mask-size={settings.NODE_PREFIX_BITS}",
        f"--service-cluster-ip-range={settings.SERVICE_CIDR}",
    ]


def _scheduler():
    config = pki.path("kube-scheduler.conf")
    return [
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}", f"--bind-address={_LOOPBACK}",
        "--leader-elect=false",
    ]


_ARGUMENTS = {"etcd": _etcd, "kube-apiserver": _apiserver,
              "kube-controller-manager": _controller_manager, "kube-scheduler": _scheduler}


def _spawn(name):
    procs.spawn(name, settings.in_netns(settings.LAB_NETNS,
                                        [binaries.require(name), *_ARGUMENTS[name]()]))


def names():
    return list(_NAMES)


def api_argv(*args):
    """A kubectl command line against the API server, from anywhere on the host."""
    return settings.in_netns(settings.LAB_NETNS, [
        binaries.require("kubectl"), f"--kubeconfig={settings.KUBECONFIG}", *args])


def kubectl(*args, text_input=None, timeout_s=60):
    """Runs kubectl for ourselves and returns (succeeded, output or error text)."""
    try:
        done = subprocess.run(api_argv(*args), input=text_input if text_input else "",
                              capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return False, f"kubectl {' '.join(args)} did not end within {timeout_s} s"
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr.strip()


def apply(manifest):
    """Applies a manifest (text); a failure is final."""
    succeeded, text = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                              text_input=manifest)
    if not succeeded:
        raise Failure(f"the API server refused a manifest of ours: {text}")


def api_ready():
    return kubectl("get", "--raw", "/readyz", "--request-timeout=2s", timeout_s=5)[0]


def _wait_for_api():
    def ready():
        procs.check_running("etcd")
        procs.check_running("kube-apiserver")
        return api_ready()

    wait_for("API server ready", ready, 120)


def up():
    """Starts whatever does not run. Returns the names of what was started."""
    started = []
    for name in ("etcd", "kube-apiserver"):
        if procs.pid_of(name) is None:
            _spawn(name)
            started.append(name)
    _allow_api()
    if started:
        say(f"starting {', '.join(started)}")
    _wait_for_api()
    # These two end by themselves when they find no API server, so they come after it.
    for name in ("kube-controller-manager", "kube-scheduler"):
        if procs.pid_of(name) is None:
            _spawn(name)
            started.append(name)
    return started


def _allow_api():
    try:
        os.unlink(settings.API_STOPPED)
    except FileNotFoundError:
        pass


def stop_apiserver():
    """SIGKILL: no connection is closed politely, as when the machine's process dies."""
    with open(settings.API_STOPPED, "w", encoding="ascii"):
        pass
    return procs.stop("kube-apiserver")


def start_apiserver():
    _allow_api()
    if procs.pid_of("kube-apiserver") is not None:
        return False
    _spawn("kube-apiserver")
    _wait_for_api()
    return True
