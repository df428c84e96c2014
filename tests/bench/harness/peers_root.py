"""A Debian sid root with the peers' servers and clients, made once into the cache by debootstrap and apt-get.

Programs of sid do not run on the C library of an older Debian, hence a root of their own. Nothing in it is ever
started as a service.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "deploy" / "local" / "lib"))
import binaries  # noqa: E402
import settings  # noqa: E402
from progress import Failure, run, run_logged, say  # noqa: E402

SUITE = "sid"
PACKAGES = ["valkey-server", "valkey-tools", "redis-server", "redis-tools"]
_HOME = os.path.join(settings.CACHE, "peers")
ROOT = os.path.join(_HOME, SUITE)
_LOGS = os.path.join(settings.CACHE, "logs")

# jemalloc and both servers ask /proc and /sys how memory is handed out: without them they behave differently.
_ENTER = ('mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev" && '
          'exec chroot "$0" "$@"')


def command(argv, root=ROOT):
    """The command line that runs argv in the root; its process becomes the program, so its pid is the program's."""
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _ENTER, root, *argv]


def make(renew=False):
    """Makes the root unless the cache has it."""
    if os.geteuid() != 0:
        raise Failure("a root of another Debian can only be made and entered by root")
    if os.path.exists(ROOT) and not renew:
        return
    with changing():
        if not os.path.exists(ROOT) or renew:
            _make()


@contextlib.contextmanager
def changing():
    """While one process makes or changes the root, others wait."""
    os.makedirs(_HOME, exist_ok=True)
    with open(os.path.join(_HOME, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mirror():
    """Where this machine gets Debian from; sid is in the same place."""
    text = run(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(COMPONENT)|$(LABEL)", "Created-By: Packages"])
    for line in text.splitlines():
        uri, component, label = line.split("|")
        if component == "main" and label == "Debian":
            return uri
    raise Failure("the apt sources of this machine do not have Debian's main archive, from which the peers come "
                  "(if they do, run `apt-get update`)")


def _make():
    binaries.install_packages(["debootstrap"])
    partial = ROOT + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    mirror = _mirror()
    run_logged(f"making a Debian {SUITE} root (about 1 minute)",
               ["unshare", "--mount", "--", "debootstrap", "--variant=minbase", SUITE, partial, mirror],
               os.path.join(_LOGS, "peers-debootstrap.log"))
    # Packages that bring a service start it when they are installed, unless this file says no.
    policy = os.path.join(partial, "usr/sbin/policy-rc.d")
    with open(policy, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexit 101\n")
    os.chmod(policy, 0o755)
    run_logged(f"installing {', '.join(PACKAGES)} there",
               command(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "Acquire::Retries=3", "install", "-y",
                        "--no-install-recommends", *PACKAGES], partial),
               os.path.join(_LOGS, "peers-apt.log"))
    shutil.rmtree(os.path.join(partial, "var/cache/apt/archives"))
    shutil.rmtree(ROOT, ignore_errors=True)
    os.rename(partial, ROOT)
    say("the peers are there: " + ", ".join(f"{k} {v}" for k, v in versions().items()))


def versions():
    """Package -> version, as Debian writes it."""
    text = run(["dpkg-query", f"--root={ROOT}", "-W", "-f=${Package} ${Version}\n", *PACKAGES])
    return dict(line.split() for line in text.splitlines())
