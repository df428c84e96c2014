"""The command line tools of Redis and Valkey, as Debian has them, in the ways their users run them."""
import json
import os
import pathlib
import re
import select
import subprocess
import time

import peers_root
from progress import Failure

_LIMIT_S = 120


class DebianTools:
    """redis-cli and redis-benchmark of this Debian, valkey-cli and valkey-benchmark of the peers' root. The tools of
    the root see its /tmp, in which a file of theirs lies."""
    name = "debian-tools"

    def prepare(self):
        peers_root.make()
        if subprocess.run(["redis-cli", "--version"], capture_output=True, check=False).returncode:
            raise Failure("redis-cli does not start; Debian's redis-tools have it")

    def version(self):
        own = subprocess.run(["redis-cli", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        return f"redis-tools {own}, valkey-tools {peers_root.versions()['valkey-tools']}"

    def run(self, trio, met):
        for family in (Family("redis", [], "/"), Family("valkey", peers_root.command([]), peers_root.ROOT)):
            family.meet(trio, met)


class Family:
    """One project's pair of tools. root: what is / to them."""

    def __init__(self, name, prefix, root):
        self.name, self.prefix, self.root = name, prefix, root

    def meet(self, trio, met):
        trio.primary.ask("FLUSHALL")
        for title, check in (("commands", self._commands), ("RESP3 and JSON", self._resp3), ("password", self._password), ("--pipe", self._pipe),
                             ("--scan", self._scan), ("--bigkeys", self._bigkeys), ("--memkeys", self._memkeys), ("--hotkeys", self._hotkeys),
                             ("--stat", self._stat), ("--latency", self._latency), ("--latency-history", self._latency_history),
                             ("--eval", self._eval), ("--rdb", self._rdb), ("--functions-rdb", self._functions_rdb),
                             ("--replica", self._replica), ("monitor", self._monitor), ("-r and -i", self._repeat)):
            self._check(met, title, check, trio)
        self._check(met, "benchmark", self._benchmark, trio)

    def _check(self, met, title, check, trio):
        try:
            check(trio)
        except (Failure, AssertionError, ValueError, OSError) as error:
            met.add(f"{self.name} {title}", str(error) or "it says no more")
        else:
            met.add(f"{self.name} {title}")

    def _command(self, tool, port, words):
        # Line by line, as on a terminal: what runs until it is ended would lose what it has not written yet.
        return [*self.prefix, "stdbuf", "-oL", f"{self.name}-{tool}", "-h", "127.0.0.1", "-p", str(port), *words]

    def _tool(self, tool, port, *words, text="", code=0):
        """What it prints, and that it ends with this code."""
        try:
            done = subprocess.run(self._command(tool, port, words), input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"no end within {_LIMIT_S} s") from None
        out = done.stdout.decode("utf-8", "replace")
        if done.returncode != code:
            raise Failure(f"it ended with code {done.returncode} instead of {code} and printed {_end(out)}")
        return out

    def _until(self, trio, pattern, *words):
        """Of a use that has no end: that it prints this; it is ended then."""
        command = self._command("cli", trio.primary.port, words)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            try:
                text, deadline = "", time.monotonic() + _LIMIT_S
                while not re.search(pattern, text):
                    if not select.select([child.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
                        raise Failure(f"no {pattern!r} within {_LIMIT_S} s; it printed {_end(text)}")
                    piece = os.read(child.stdout.fileno(), 65536)
                    if not piece:
                        raise Failure(f"it ended by itself and printed {_end(text)}")
                    text += piece.decode("utf-8", "replace")
            finally:
                child.kill()

    def _cli(self, trio, *words, **options):
        return self._tool("cli", trio.primary.port, *words, **options)

    def _commands(self, trio):
        _same(self._cli(trio, "set", "k", "v"), "OK\n")
        _same(self._cli(trio, "-n", "3", "get", "k"), "\n")
        _same(self._cli(trio, "-x", "set", "input", text="from stdin"), "OK\n")
        _same(self._cli(trio, "--no-raw", "get", "input"), '"from stdin"\n')
        _same(self._cli(trio, text="incr n\nlpush l a b\nlrange l 0 -1\ndel n l\n"), "1\n2\nb\na\n2\n")
        _has(self._cli(trio, "nonsense"), "ERR unknown command 'nonsense'")
        _has(self._cli(trio, "--csv", "mget", "k", "none"), '"v",')

    def _resp3(self, trio):
        self._cli(trio, "hset", "h", "a", "1")
        _has(self._cli(trio, "-3", "--no-raw", "hgetall", "h"), '1# "a" => "1"')
        assert json.loads(self._cli(trio, "--json", "hgetall", "h")) == {"a": "1"}
        assert json.loads(self._cli(trio, "--json", "-3", "config", "get", "maxmemory")) == {"maxmemory": "0"}

    def _password(self, trio):
        _has(self._tool("cli", trio.locked.port, "get", "k"), "NOAUTH Authentication required.")
        _has(self._tool("cli", trio.locked.port, "-a", "wrong", "ping"), "WRONGPASS")
        for words in (["-a", "secret"], ["--user", "default", "--pass", "secret"], ["-3", "-a", "secret"]):
            _has(self._tool("cli", trio.locked.port, "--no-auth-warning", *words, "ping"), "PONG")
        _has(self._cli(trio, "-u", f"redis://default:secret@127.0.0.1:{trio.locked.port}/0", "--no-auth-warning", "ping"), "PONG")

    def _pipe(self, trio):
        commands = "".join(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$1\r\nx\r\n" for key in (f"pipe:{n}" for n in range(20_000)))
        _has(self._cli(trio, "--pipe", text=commands), "errors: 0, replies: 20000")
        _has(self._cli(trio, "--pipe", text="lpush pipe:1 x\r\nset pipe:1 y\r\n", code=1), "errors: 1, replies: 2")

    def _scan(self, trio):
        self._cli(trio, "mset", *(word for n in range(100) for word in (f"scan:{n}", "v")))
        listed = self._cli(trio, "--scan", "--pattern", "scan:*").split()
        assert len(set(listed)) == 100, f"{len(set(listed))} keys instead of 100"

    def _bigkeys(self, trio):
        self._cli(trio, "rpush", "bigkeys", *map(str, range(1000)))
        text = self._cli(trio, "--bigkeys")
        _match(text, r'Biggest +list +found .*bigkeys.* has 1000 items')
        _match(text, "-------- [Ss]ummary -------")

    def _memkeys(self, trio):
        self._cli(trio, "set", "memkeys", "x" * 100_000)
        _match(self._cli(trio, "--memkeys"), r'Biggest string found .*memkeys.* has 1\d\d\d\d\d bytes')

    def _hotkeys(self, trio):
        _has(self._cli(trio, "--hotkeys", code=1), "ERR An LFU maxmemory policy is not selected")
        self._cli(trio, "config", "set", "maxmemory-policy", "allkeys-lfu")
        self._cli(trio, "-r", "20", "get", "k")
        text = self._cli(trio, "--hotkeys")
        self._cli(trio, "config", "set", "maxmemory-policy", "noeviction")
        _has(text, "hot key found with counter")

    def _stat(self, trio):
        self._until(trio, r"keys +mem +clients +blocked +requests +connections[^\n]*\n\d+ +[\d.]+[BKMG] +\d+ +\d+ +\d+ \(\+\d+\) +\d+", "--stat", "-i", "0.1")

    def _latency(self, trio):
        # To a pipe it prints one line, after a second unless -i says otherwise: min max avg count.
        _match(self._cli(trio, "--raw", "--latency", "-i", "0.2"), r"^\d+ \d+ [\d.]+ \d+\n$")

    def _latency_history(self, trio):
        self._until(trio, r"^(\d+ \d+ [\d.]+ \d+\n){2}", "--raw", "--latency-history", "-i", "0.2")

    def _file(self, name):
        """(path to the tool, path for us) of a file of its own."""
        path = f"/tmp/interop-{os.getpid()}-{name}"
        ours = pathlib.Path(str(self.root).rstrip("/") + path)
        ours.unlink(missing_ok=True)
        return path, ours

    def _eval(self, trio):
        path, ours = self._file("eval.lua")
        ours.write_text("return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}", encoding="ascii")
        try:
            _same(self._cli(trio, "--eval", path, "evaluated", ",", "argument"), "evaluated\nargument\n1\n")
        finally:
            ours.unlink()

    def _rdb(self, trio):
        path, ours = self._file("dump.rdb")
        try:
            self._cli(trio, "--rdb", path)
            content = ours.read_bytes()
        finally:
            ours.unlink(missing_ok=True)
        assert re.match(rb"(REDIS|VALKEY)0\d\d", content), f"it begins with {content[:9]!r}"
        assert b"evaluated" in content, "a key is not in it"

    def _functions_rdb(self, trio):
        self._cli(trio, "function", "load", "replace", "#!lua name=tools\nredis.register_function('one', function() return 1 end)")
        path, ours = self._file("functions.rdb")
        try:
            self._cli(trio, "--functions-rdb", path)
            content = ours.read_bytes()
        finally:
            ours.unlink(missing_ok=True)
        assert b"name=tools" in content, "the library is not in it"
        assert b"evaluated" not in content, "a key is in it"

    def _replica(self, trio):
        """It takes a copy with nothing in it, then prints each command of the stream."""
        self._until(trio, "SYNC done|Full resync done|done after", "--replica")

    def _monitor(self, trio):
        self._until(trio, "^OK\n", "monitor")

    def _repeat(self, trio):
        self._cli(trio, "del", "repeated")
        _same(self._cli(trio, "-r", "3", "-i", "0.01", "incr", "repeated"), "1\n2\n3\n")

    def _benchmark(self, trio):
        text = self._tool("benchmark", trio.primary.port, "-n", "2000", "-c", "10", "-P", "4", "--csv")
        rows = re.findall(r'^"([^"]+)","([\d.]+)"', text, re.M)
        assert len(rows) >= 20, f"{len(rows)} tests instead of 20 or more: {text[-300:]}"
        assert all(float(rate) > 0 for _, rate in rows), text
        _has(self._tool("benchmark", trio.primary.port, "-n", "1000", "-r", "100", "-d", "100", "--threads", "2", "-q", "set", "key:__rand_int__", "v"), "requests per second")


def _end(text):
    return repr(text[-300:])


def _same(text, wanted):
    assert text.rstrip("\n") == wanted.rstrip("\n"), f"{text[-300:]!r} instead of {wanted!r}"


def _has(text, part):
    assert part in text, f"{text[-300:]!r} without {part!r}"


def _match(text, pattern):
    assert re.search(pattern, text), f"{text[-400:]!r} does not match {pattern!r}"
