"""Container images without a registry: the cluster's own two, and the project's from a Dockerfile.

The own images hold one static program each and are written here directly as docker archives. The
project's image is built by buildah on a Debian base that debootstrap makes once.
"""
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor

import binaries
import node as nodes
import settings
from progress import Failure, run, run_logged, say

_IMAGES = os.path.join(settings.CACHE, "images")
_RELEASE = "bookworm"
_BASE_TAGS = [f"docker.io/library/debian:{_RELEASE}-slim", f"docker.io/library/debian:{_RELEASE}"]
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _write_archive(target, tags, layer, config):
    """A docker archive with one layer; layer is the path of a tar file."""
    digest = hashlib.sha256()
    with open(layer, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    layer_id = digest.hexdigest()
    machine = platform.machine()
    image = json.dumps({
        "architecture": _ARCHITECTURES.get(machine, machine), "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_id]},
        # One entry per layer; buildah counts them.
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "understudy local cluster"}],
    }).encode()
    image_name = hashlib.sha256(image).hexdigest() + ".json"
    manifest = json.dumps([{"Config": image_name, "RepoTags": tags,
                            "Layers": [layer_id + "/layer.tar"]}]).encode()
    partial = target + ".partial"
    with tarfile.open(partial, "w") as archive:
        archive.add(layer, layer_id + "/layer.tar")
        for name, content in ((image_name, image), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    os.rename(partial, target)


def _program_archive(target, tag, program):
    name = os.path.basename(program)
    with tempfile.TemporaryDirectory() as work:
        layer = os.path.join(work, "layer.tar")
        with tarfile.open(layer, "w") as tar:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            entry.size = os.path.getsize(program)
            with open(program, "rb") as f:
                tar.addfile(entry, f)
        _write_archive(target, [tag], layer, {"Entrypoint": ["/" + name]})


def _file_hash(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def own_archives():
    """Archives of the pause and the CoreDNS image, made when the cache lacks them."""
    os.makedirs(_IMAGES, exist_ok=True)
    source = os.path.join(settings.HERE, "lib", "pause.c")
    pause = os.path.join(_IMAGES, f"pause-{_file_hash(source)}.tar")
    if not os.path.exists(pause):
        with tempfile.TemporaryDirectory() as work:
            program = os.path.join(work, "pause")
            binaries.compile_static(source, program)
            _program_archive(pause, settings.PAUSE_IMAGE, program)
    program = binaries.require("coredns")
    coredns = os.path.join(_IMAGES, os.path.basename(os.path.dirname(program)) + ".tar")
    if not os.path.exists(coredns):
        _program_archive(coredns, settings.COREDNS_IMAGE, program)
    return [pause, coredns]


def _queue(node, archive):
    """Has the node import the archive when it boots."""
    os.makedirs(node.path("images"), exist_ok=True)
    target = node.path("images", _file_hash(archive) + ".tar")
    shutil.copyfile(archive, target + ".partial")
    os.rename(target + ".partial", target)


def queue_own(node):
    for archive in own_archives():
        _queue(node, archive)


def load(archive):
    """Imports an archive into every node; one that is powered off gets it when it starts."""
    if not os.path.isfile(archive):
        raise Failure(f"there is no image archive {archive}")
    archive = os.path.abspath(archive)

    def into(node):
        if not nodes.is_running(node):
            _queue(node, archive)
            return f"{node.name}: not running, imported when it starts"
        done = subprocess.run(
            ["ctr", "--address", node.containerd_socket, "--namespace", "k8s.io", "images",
             "import", archive], capture_output=True, text=True, check=False, timeout=300)
        if done.returncode != 0:
            raise Failure(f"{node.name} cannot import {archive}: {done.stderr.strip()}")
        return f"{node.name}: imported"

    with ThreadPoolExecutor(len(settings.NODES)) as pool:
        for line in pool.map(into, settings.NODES):
            say(line)


def _mirrors():
    """(URI, suite, components) of this machine's Debian sources for the release."""
    text = run(["apt-get", "indextargets", "--format",
                "$(REPO_URI)|$(CODENAME)|$(COMPONENT)", "Created-By: Packages"])
    found = {}
    for line in text.splitlines():
        uri, suite, component = line.split("|")
        if re.fullmatch(rf"{_RELEASE}(-updates|-security)?", suite):
            found.setdefault((uri, suite), []).append(component)
    if not any(suite == _RELEASE for _, suite in found):
        raise Failure(f"the apt sources of this machine do not have Debian {_RELEASE}, from which "
                      "the base image is made")
    return [(uri, suite, sorted(set(components))) for (uri, suite), components in found.items()]


def base_archive():
    """Archive of the Debian base image, made when the cache lacks it."""
    os.makedirs(_IMAGES, exist_ok=True)
    target = os.path.join(_IMAGES, f"debian-{_RELEASE}-slim.tar")
    if os.path.exists(target):
        return target
    mirrors = _mirrors()
    main = next(uri for uri, suite, _ in mirrors if suite == _RELEASE)
    with tempfile.TemporaryDirectory(dir=_IMAGES) as work:
        root = os.path.join(work, "root")
        run_logged(f"making the Debian {_RELEASE} base image (about 30 s)",
                   ["unshare", "--mount", "--", "debootstrap", "--variant=minbase", _RELEASE,
                    root, main], os.path.join(settings.CACHE, "logs", "debootstrap.log"))
        shutil.rmtree(os.path.join(root, "var/cache/apt/archives"))
        os.makedirs(os.path.join(root, "var/cache/apt/archives/partial"))
        lists = os.path.join(root, "var/lib/apt/lists")
        shutil.rmtree(lists)
        os.makedirs(os.path.join(lists, "partial"))
        with open(os.path.join(root, "etc/apt/sources.list"), "w", encoding="ascii") as f:
            for uri, suite, components in mirrors:
                f.write(f"deb {uri} {suite} {' '.join(components)}\n")
        layer = os.path.join(work, "layer.tar")
        run(["tar", "--numeric-owner", "--one-file-system", "--exclude=./dev/*",
             "--exclude=./proc/*", "--exclude=./sys/*",
             "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
             "-C", root, "-cf", layer, "."], timeout_s=120)
        _write_archive(target, _BASE_TAGS, layer, {
            "Cmd": ["bash"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]})
    return target


class _Buildah:
    """buildah with a storage of its own in the cache, in a mount namespace of its own."""

    def __init__(self):
        home = os.path.join(settings.CACHE, "buildah")
        os.makedirs(home, exist_ok=True)
        self.policy = os.path.join(home, "policy.json")
        with open(self.policy, "w", encoding="ascii") as f:
            json.dump({"default": [{"type": "insecureAcceptAnything"}]}, f)
        registries = os.path.join(home, "registries.conf")
        with open(registries, "w", encoding="ascii") as f:
            f.write('unqualified-search-registries = ["docker.io"]\n')
        containers = os.path.join(home, "containers.conf")
        with open(containers, "w", encoding="ascii") as f:
            # Its default is /etc/cni/net.d, where buildah leaves a lock file.
            f.write(f"[network]\nnetwork_config_dir = {json.dumps(os.path.join(home, 'net.d'))}\n")
        self._env = dict(os.environ, CONTAINERS_REGISTRIES_CONF=registries,
                         CONTAINERS_CONF=containers)
        self._argv = ["unshare", "--mount", "--", "buildah", "--root",
                      os.path.join(home, "storage"), "--runroot", os.path.join(home, "run"),
                      "--storage-driver", "overlay"]

    def run(self, *args, **kwargs):
        return run([*self._argv, *args], env=self._env, **kwargs)

    def run_logged(self, what, command, *args):
        run_logged(what, [*self._argv, command, *args],
                   os.path.join(settings.CACHE, "logs", f"buildah-{command}.log"), env=self._env)

    def has(self, image):
        return bool(self.run("images", "--quiet", image, quiet_errors=True).strip())


def build(dockerfile, context, tag, output):
    """Builds a Dockerfile on the Debian base image and writes the image as a docker archive."""
    if not os.path.isfile(dockerfile):
        raise Failure(f"there is no Dockerfile {dockerfile}")
    if not os.path.isdir(context):
        raise Failure(f"the build context {context} is not a directory")
    binaries.install_packages(binaries.IMAGE_PROGRAMS)
    buildah = _Buildah()
    if not buildah.has(_BASE_TAGS[0]):
        buildah.run("pull", "--signature-policy", buildah.policy,
                    "docker-archive:" + base_archive() + ":" + _BASE_TAGS[0], timeout_s=300)
        buildah.run("tag", _BASE_TAGS[0], _BASE_TAGS[1])
    buildah.run_logged(
        f"building image {tag}", "bud", "--isolation", "chroot", "--network", "host",
        "--pull-never", "--layers", "--signature-policy", buildah.policy, "--file", dockerfile,
        "--tag", tag, context)
    # What the tag named before is of no use to anyone.
    buildah.run("rmi", "--prune", quiet_errors=True)
    partial = os.path.abspath(output) + ".partial"
    if os.path.exists(partial):
        os.unlink(partial)
    buildah.run_logged(f"writing {output}", "push", "--signature-policy", buildah.policy, tag,
                       f"docker-archive:{partial}:{tag}")
    os.rename(partial, output)
