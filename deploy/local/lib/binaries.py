"""Programs that the cluster consists of: Debian packages and Go builds.

The Go programs are built from the pinned modules in k8s/ into the cache, one directory per module
and content of go.mod and go.sum, so that `make clean` and a fresh clone do not rebuild them.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess

import settings
from progress import Failure, run, run_logged, say

MIN_GO = (1, 26)

# program -> Debian package that has it
PACKAGES = {
    "containerd": "containerd", "runc": "runc", "nft": "nftables", "ip": "iproute2",
    "iptables": "iptables", "openssl": "openssl", "gcc": "gcc", "nsenter": "util-linux",
    "buildah": "buildah", "debootstrap": "debootstrap", "sysctl": "procps",
    settings.CNI_PLUGINS + "/ptp": "containernetworking-plugins",
}
IMAGE_PROGRAMS = ("buildah", "debootstrap")

_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def _kubernetes_flags():
    _, minor = settings.KUBERNETES_VERSION.lstrip("v").split(".")[:2]
    values = {"gitVersion": settings.KUBERNETES_VERSION, "gitMajor": "1", "gitMinor": minor,
              "gitTreeState": "clean"}
    return " ".join(f"-X {package}.{key}={value}" for package in _VERSION_PACKAGES
                    for key, value in values.items())


class Module:
    """One Go module of k8s/: what it builds and how long that takes on two cores."""

    def __init__(self, name, title, programs, flags, expect, package="tool"):
        self.name = name
        self.title = title
        self.programs = programs
        self.flags = flags
        self.expect = expect
        self.package = package  # what is built: the tools of go.mod, or a main.go of ours
        self.source = os.path.join(settings.MODULES, name)

    def directory(self):
        digest = hashlib.sha256(self.flags.encode())
        for part in sorted(os.listdir(self.source)):
            with open(os.path.join(self.source, part), "rb") as f:
                digest.update(f.read())
        return os.path.join(settings.CACHE, "bin", f"{self.name}-{digest.hexdigest()[:16]}")

    def ready(self):
        directory = self.directory()
        return all(os.access(os.path.join(directory, program), os.X_OK)
                   for program in self.programs)


MODULES = [
    Module("kubernetes", f"Kubernetes {settings.KUBERNETES_VERSION} and etcd",
           ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
            "kube-proxy", "kubectl"], _kubernetes_flags(), "about 5 minutes on two cores"),
    Module("coredns", f"CoreDNS {settings.COREDNS_VERSION}", ["coredns"],
           "", "about 90 s on two cores", package="."),
    Module("helm", f"Helm {settings.HELM_VERSION}", ["helm"],
           f"-X helm.sh/helm/v4/internal/version.version={settings.HELM_VERSION}",
           "about 1 minute on two cores"),
]


def program(name):
    """Path of a built program."""
    for module in MODULES:
        if name in module.programs:
            return os.path.join(module.directory(), name)
    raise AssertionError(f"no module builds {name}")


def require(name):
    """Path of a program that must have been built already."""
    path = program(name)
    if not os.access(path, os.X_OK):
        raise Failure(f"{name} has not been built yet; run `cluster setup` or `cluster up`")
    return path


def install_packages(programs=None):
    """Installs the Debian packages of those programs that are missing."""
    missing = sorted({package for name, package in PACKAGES.items()
                      if (programs is None or name in programs) and not _present(name)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failure(f"these Debian packages are needed and there is no apt-get: {missing}")
    logs = os.path.join(settings.CACHE, "logs")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
    run_logged("updating the package lists", [*apt, "update"],
               os.path.join(logs, "apt-update.log"), env=env)
    run_logged(f"installing Debian packages: {' '.join(missing)}",
               [*apt, "install", "-y", "--no-install-recommends", *missing],
               os.path.join(logs, "apt-install.log"), env=env)
    still = sorted(name for name, package in PACKAGES.items()
                   if package in missing and not _present(name))
    if still:
        raise Failure(f"still missing after installing packages: {' '.join(still)}")


def _present(name):
    if os.path.isabs(name):
        return os.access(name, os.X_OK)
    return shutil.which(name) is not None


def _go():
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go"]
    need = (f"Go {MIN_GO[0]}.{MIN_GO[1]} or newer is needed to build Kubernetes "
            "(set PATH so that `go` is found)")
    found = []
    for path in candidates:
        if path and os.access(path, os.X_OK):
            text = run([path, "version"], env=_go_environment())
            version = re.search(r"go(\d+)\.(\d+)", text)
            if version and tuple(map(int, version.groups())) >= MIN_GO:
                return path
            found.append(f"{path} is `{text.strip()}`")
    raise Failure(f"{need}; {'; '.join(found) or 'there is no `go` on this machine'}")


def _go_environment():
    env = dict(os.environ)
    flags = [flag for flag in env.get("GOFLAGS", "").split() if not flag.startswith("-mod")]
    env.update(GOTOOLCHAIN="local", GOFLAGS=" ".join(flags + ["-mod=readonly"]), CGO_ENABLED="0",
               GOWORK="off")
    return env


def build():
    """Builds what the cache does not have yet."""
    if all(module.ready() for module in MODULES):
        return
    os.makedirs(os.path.join(settings.CACHE, "bin"), exist_ok=True)
    with open(os.path.join(settings.CACHE, "bin", "lock"), "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build into the same cache to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for module in MODULES:
            if not module.ready():
                _build(module, _go())


def _build(module, go):
    target = module.directory()
    partial = target + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    log = os.path.join(settings.CACHE, "logs", f"build-{module.name}.log")

    def note():
        """First the modules are downloaded, then -v names each package that is compiled."""
        try:
            with open(log, encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
        except OSError:
            return ""
        packages = [line for line in lines if "/" in line and " " not in line]
        if packages:
            return f"{len(packages)} packages compiled, last {packages[-1]}"
        return f"{len(lines)} modules downloaded" if lines else ""

    jobs = str(min(os.cpu_count() or 1, 4))
    run_logged(f"building {module.title} ({module.expect} when nothing is cached)",
               [go, "build", "-v", "-p", jobs, "-trimpath", "-ldflags",
                f"-s -w {module.flags}".strip(), "-o", partial + "/", module.package],
               log, note, cwd=module.source, env=_go_environment())
    if module.name == "kubernetes":
        # etcd's main package is the directory `server`.
        os.rename(os.path.join(partial, "server"), os.path.join(partial, "etcd"))
    for name in module.programs:
        if not os.path.exists(os.path.join(partial, name)):
            raise Failure(f"building {module.title} did not produce {name}; the log is {log}")
    shutil.rmtree(target, ignore_errors=True)
    os.rename(partial, target)


def compile_static(source, output):
    """Compiles a C file into a static program without a C library's start-up cost."""
    done = subprocess.run(["gcc", "-Os", "-static", "-s", "-o", output, source],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"gcc cannot build {source}: {done.stderr.strip()}")
