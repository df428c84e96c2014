"""Valkey's own suite with servers that it starts itself, inside the root that has sid's servers.

Each server gets a folder of its own there with what runtest needs: the suite's tests, and `bin`, in which
`valkey-server` is the server that is tested. Our node brings the C library that it was built with.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import limited
import peers_root
import rivals
import tcl_output
import tcl_suite
from progress import Failure

_LOGS = rivals.ROOT / "build" / "compat" / "spawn"
# Seconds for a file: some take Valkey more than 200 on two busy cores.
_LIMIT_S = int(os.environ.get("LIMIT", "900"))
_CLIENTS = ["valkey-cli", "valkey-benchmark", "valkey-check-rdb", "valkey-check-aof"]

# Not here: files of Redis Cluster, modules, RDMA and the append-only file; what measures the memory of Valkey's own
# structures (memefficiency, replybufsize); what makes Valkey crash; and what needs no server of its own, for which
# tcl_suite has it.
_FILES = ["unit/acl", "unit/acl-v2", "unit/auth", "unit/client-eviction", "unit/functions", "unit/info", "unit/info-command",
          "unit/introspection", "unit/introspection-2", "unit/latency-monitor", "unit/lazyfree", "unit/limits", "unit/maxmemory", "unit/multi",
          "unit/networking", "unit/obuf-limits", "unit/oom-score-adj", "unit/other", "unit/pause", "unit/protocol", "unit/pubsub",
          "unit/pubsubshard", "unit/querybuf", "unit/quit", "unit/scripting", "unit/shutdown", "unit/slowlog", "unit/tracking", "unit/wait",
          "integration/block-repl", "integration/convert-ziplist-hash-on-load", "integration/convert-ziplist-zset-on-load",
          "integration/convert-zipmap-hash-on-load", "integration/dismiss-mem", "integration/failover", "integration/logging", "integration/psync2",
          "integration/psync2-master-restart", "integration/psync2-pingoff", "integration/psync2-reg", "integration/rdb",
          "integration/replica-redirect", "integration/replication", "integration/replication-2", "integration/replication-3",
          "integration/replication-4", "integration/replication-buffer", "integration/replication-psync", "integration/shutdown",
          "integration/valkey-benchmark", "integration/valkey-cli"]

# A server that ends at its start would be waited for for two minutes, and its error counts for the test that started
# it; an error outside of a test ends the block of the server, and not the file.
_ADAPTED = {"tests/support/server.tcl": [("""\
        # Configuration errors are unexpected, but it's helpful to fail fast
""", """\
        if {![is_alive $pid]} {
            break
        }

        # Configuration errors are unexpected, but it's helpful to fail fast
"""), ("""\
            start_server_error $executable $config_file $err
            return
""", """\
            set ::singledb $old_singledb
            set ::tags [lrange $::tags 0 end-[llength $tags]]
            if {[llength $::servers] > 0 || $::cur_test ne {}} {
                error "the server did not start: [string trim $err]"
            }
            start_server_error $executable $config_file $err
            return
"""), ("""\
                send_data_packet $::test_server_fd err [join $details "\\n"]
            } else {
                # Restore state before re-raising
""", """\
                send_data_packet $::test_server_fd err [join $details "\\n"]
                set ::singledb $old_singledb
                set ::tags [lrange $::tags 0 end-[llength $tags]]
                return
            } else {
                # Restore state before re-raising
""")]}


class Suite:
    title = "Valkey's Tcl suite, servers of its own"

    def __init__(self):
        peers_root.make()
        self.version = peers_root.versions()["valkey-server"]
        self.source = pathlib.Path(peers_root.ROOT + tcl_suite.source(self.version))

    @property
    def about(self):
        return f"the same suite, which starts and configures the servers, `--tags \"{tcl_suite.TAGS}\"`"

    def files(self):
        return [file for file in _FILES if (self.source / "tests" / f"{file}.tcl").exists()]

    def run(self, rival, files):
        """Yields (file, FileResult) as they come."""
        with tempfile.TemporaryDirectory(prefix="understudy-spawn-", dir=os.path.join(peers_root.ROOT, "tmp")) as made:
            home = pathlib.Path(made)
            _furnish(home, self.source, rival)
            inside = "/" + str(home.relative_to(peers_root.ROOT))
            for file in files:
                log = _LOGS / rival.name / (file.replace("/", "_") + ".log")
                in_time = limited.run(peers_root.command(
                    ["env", "-C", inside, f"VALKEY_BIN_DIR={inside}/bin", "LC_ALL=C.UTF-8", "./runtest", "--baseport", str(tcl_suite.BASE_PORT),
                     "--single", file, "--clients", "1", "--durable", "--verbose", "--tags", tcl_suite.TAGS, "--timeout", str(_LIMIT_S),
                     *tcl_suite.skipped(rival.endless("spawn", file))]),
                    log, _LIMIT_S, f"{file} with {rival.name}")
                yield file, tcl_output.parse(log.read_text(encoding="utf-8", errors="replace"), in_time)


def _furnish(home, source, rival):
    shutil.copy(source / "runtest", home)
    shutil.copytree(source / "tests", home / "tests", ignore=shutil.ignore_patterns("tmp"))
    (home / "tests" / "tmp").mkdir()
    tcl_suite.adapt(home, _ADAPTED)
    programs = home / "bin"
    programs.mkdir()
    for name in _CLIENTS:
        os.symlink(f"/usr/bin/{name}", programs / name)
    if rival.program is None:
        os.symlink("/usr/bin/valkey-server", programs / "valkey-server")
        return
    _copy_node(programs, rival.program)
    _fit_options(home, rival.program)


def _copy_node(programs, node):
    """The program, its libraries, and a script in the place of valkey-server."""
    libraries = programs / "lib"
    libraries.mkdir()
    shutil.copy(node, programs / "understudy-node")
    listed = subprocess.run(["ldd", str(node)], capture_output=True, text=True, check=True).stdout
    paths = re.findall(r"(?:=> )?(/\S+) \(0x", listed)
    for path in paths:
        shutil.copy(path, libraries)
    loader = next((path for path in paths if "/ld-linux" in path), None)
    if loader is None:
        raise Failure(f"{node} is not linked dynamically")
    inside = "/" + str(programs.relative_to(peers_root.ROOT))
    script = programs / "valkey-server"
    script.write_text(f"""#!/bin/sh
exec {inside}/lib/{pathlib.Path(loader).name} --library-path {inside}/lib {inside}/understudy-node "$@"
""", encoding="utf-8")
    script.chmod(0o755)


def _fit_options(home, node):
    """What all servers of the suite are given is left out where our node has no such option; what a test asks for is not."""
    known = set(re.findall(r"--([a-z0-9-]+)", subprocess.run([str(node), "--help"], capture_output=True, text=True, check=True).stdout))
    if "unixsocket" not in known:
        tcl_suite.adapt(home, {"tests/support/server.tcl": [('    dict set config "unixsocket" $unixsocket\n', "")]})
    for path in (home / "tests" / "assets").glob("*.conf"):
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.strip() or line.startswith("#") or line.split()[0] in known]
        path.write_text("\n".join([*kept, "standalone yes", "workers 2"]) + "\n", encoding="utf-8")
