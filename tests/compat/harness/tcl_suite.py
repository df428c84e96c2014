"""Valkey's own suite, external mode: the source of Debian's package `valkey`, run inside the root that has sid's servers."""
import hashlib
import os
import pathlib
import re

import limited
import peers_root
import rivals
import tcl_output
from progress import Failure, run_logged

TAGS = "-slow -cluster"
_FOLDERS = ["unit", "unit/type"]
_MORE = ["integration/valkey-cli"]  # the others of `integration` start their own servers
_SOURCES = "/usr/local/src"
_LOGS = rivals.ROOT / "build" / "compat" / "tcl"
# Seconds for a file; a suite of 9.1 takes 60 for its longest on two slow cores.
_LIMIT_S = int(os.environ.get("LIMIT", "300"))

# Below the ports that connections are given; runtest tries the 32 before it, and each also with 10,000 more.
BASE_PORT = 15_000 + os.getpid() % 7_000

# A server without a command, or with an option that refuses a value, would end a whole file; so it ends a block.
# And a test that failed half-way leaves no open transaction, other protocol or unread reply to the next one.
_ADAPTED = {"tests/support/test.tcl": [
    ("            send_data_packet $::test_server_fd err [join $details \"\\n\"]\n\n            if {$::exit_on_failure} {\n", """\
            send_data_packet $::test_server_fd err [join $details "\\n"]
            if {$::external} {
                catch {reconnect}
            }

            if {$::exit_on_failure} {
""")], "tests/support/server.tcl": [
    ("    r function flush\n", "    catch {r function flush}\n"),
    ("        r config set $param $val\n\n", """\
        if {[catch {r config set $param $val} refusal]} {
            send_data_packet $::test_server_fd err "a block of tests: $refusal"
            set srv [lpop ::servers]
            [dict get $srv "client"] close
            return
        }

""")]}


class Suite:
    title = "Valkey's Tcl suite, external mode"

    def __init__(self):
        peers_root.make()
        self.version = peers_root.versions()["valkey-server"]
        self.source = source(self.version)
        self.tests = pathlib.Path(peers_root.ROOT + self.source) / "tests"

    @property
    def about(self):
        return f"Debian's source package `valkey` {self.version}, `--tags \"{TAGS}\"`, one server for each file"

    def files(self):
        return [f"{folder}/{path.stem}" for folder in _FOLDERS for path in sorted((self.tests / folder).glob("*.tcl"))] + _MORE

    def run(self, rival, files):
        """Yields (file, FileResult) as they come."""
        for file in files:
            server = rivals.start(rival)
            try:
                log = _LOGS / rival.name / (file.replace("/", "_") + ".log")
                # runtest waits for its clients' word, the client for the server's: the limit of both is ours.
                in_time = limited.run(peers_root.command(
                    ["env", "-C", self.source, "VALKEY_BIN_DIR=/usr/bin", "LC_ALL=C.UTF-8", "./runtest", "--host", "127.0.0.1", "--port", str(server.port),
                     "--baseport", str(BASE_PORT),
                     "--single", file, "--clients", "1", "--durable", "--verbose", "--tags", TAGS, "--timeout", str(_LIMIT_S),
                     *skipped(rival.endless("tcl", file))]),
                    log, _LIMIT_S, f"{file} against {rival.name}")
                result = tcl_output.parse(log.read_text(encoding="utf-8", errors="replace"), in_time)
                if rivals.ended(server):
                    result.notes.append(rivals.ended(server))
            finally:
                server.stop()
            yield file, result


def skipped(tests):
    """Arguments for runtest."""
    return [word for test in tests for word in ("--skiptest", test)]


def source(version):
    """Path inside the root of the sources; fetched, unpacked and adapted once for each version."""
    upstream = re.sub(r"^\d+:|-[^-]*$", "", version)
    # With what is changed in them, so that another change is made on new ones.
    adapted = hashlib.sha256(repr(_ADAPTED).encode()).hexdigest()[:8]
    path = f"{_SOURCES}/valkey-{upstream}-{adapted}"
    with peers_root.changing():
        if not os.path.exists(peers_root.ROOT + path):
            _fetch(version, path)
    return path


def _fetch(version, path):
    outside = pathlib.Path(peers_root.ROOT + path)
    root = pathlib.Path(peers_root.ROOT)
    mirrors = re.findall(r"^deb (\S+)", (root / "etc/apt/sources.list").read_text(encoding="ascii"), re.M)
    (root / "etc/apt/sources.list.d/source.list").write_text(f"deb-src {mirrors[0]} {peers_root.SUITE} main\n", encoding="ascii")
    hosts = root / "etc/hosts"
    if "localhost" not in (hosts.read_text(encoding="ascii") if hosts.exists() else ""):
        hosts.write_text("127.0.0.1 localhost\n", encoding="ascii")
    # A mirror that is kept as it was on a day has a release file that says it is over.
    script = f"""set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Check-Valid-Until=false update
apt-get install -y --no-install-recommends tcl procps
rm -rf {path}.partial && mkdir -p {path}.partial && cd {path}.partial
apt-get -o APT::Sandbox::User=root source --download-only valkey={version}
tar --strip-components=1 -xf valkey_*.orig.tar.*
rm valkey_*
"""
    run_logged("fetching the sources of valkey", peers_root.command(["sh", "-c", script]), str(_LOGS / "fetch.log"))
    partial = outside.with_name(outside.name + ".partial")
    adapt(partial, _ADAPTED)
    os.rename(partial, outside)


def adapt(folder, changes_of):
    """changes_of: file -> [(text that is there once, what takes its place)]."""
    for name, changes in changes_of.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            if text.count(old) != 1:
                raise Failure(f"{name} of valkey is not as expected: {old.strip()!r} is there {text.count(old)} times, not once")
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
