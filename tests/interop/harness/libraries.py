"""How each library is installed, and how the program that uses it is built and run.

A client's folder is copied below build/interop, with what the programs of its language share, and all that its package
manager makes stays there.
"""
import hashlib
import os
import re
import shutil
import sys

import limited
import outcome
import rivals
from progress import Failure, run, run_logged

SOURCES = rivals.ROOT / "tests" / "interop"
BUILD = rivals.ROOT / "build" / "interop"
_LIMIT_S = 300  # for one program
_NICE = ["nice", "-n", "19"]


def debian(packages):
    """Those of these packages that are missing."""
    run_logged(f"looking for the Debian packages {', '.join(packages)}", ["cmake/install-deps", "packages", *packages], str(BUILD / "install-deps.log"),
               cwd=rivals.ROOT)


class Library:
    """name: of its folder. pinned: file of it and what finds the version there. tool: program that builds it, and the
    Debian packages that have the tool, if Debian has it new enough. steps: title -> command, run in order when a file
    of the folder has changed. program: what is run."""

    def __init__(self, name, pinned, tool, packages, steps, program, shared="", runtime=()):
        self.name, self.tool, self.packages, self.shared = name, tool, packages, shared
        self.pinned, self.steps, self.program, self.runtime = pinned, steps, program, runtime
        self.home = BUILD / name
        self.log = BUILD / f"{name}.log"

    def version(self):
        file, pattern = self.pinned
        library = re.search(pattern, (SOURCES / self.name / file).read_text(encoding="utf-8"))[1]
        shown = [run(list(argv), cwd=self.home).strip().splitlines()[0] for argv in self.runtime]
        return f"{library}{', with ' + ', '.join(shown) if shown else ''}"

    def prepare(self):
        if not shutil.which(self.tool):
            if not self.packages:
                raise Failure(f"{self.name} needs {self.tool}, which is not installed and which Debian does not have new enough")
            debian(self.packages)
        files = self._files()
        ready = self.home / "ready"
        stamp = hashlib.sha256(repr([(str(to), path.read_bytes()) for path, to in files]).encode()).hexdigest()
        if ready.exists() and ready.read_text(encoding="ascii") == stamp:
            return
        ready.unlink(missing_ok=True)
        for path, to in files:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
        for title, argv in self.steps.items():
            run_logged(f"{self.name}: {title}", [*_NICE, *argv], str(self.log), cwd=self.home)
        ready.write_text(stamp, encoding="ascii")

    def run(self, trio, met):
        log = BUILD / f"{self.name}.out"
        in_time = limited.run(self.program, log, _LIMIT_S, self.name, cwd=self.home, env={**os.environ, **trio.ports()})
        text = log.read_text(encoding="utf-8", errors="replace")
        met.add_all(outcome.parse(text))
        if not in_time:
            met.add("end", f"the program did not end within {_LIMIT_S} s")
        elif "all checks were made" not in text:
            met.add("end", f"the program ended before its last check; its output is {log.relative_to(rivals.ROOT)}")

    def _files(self):
        pairs = [(path, self.home / path.relative_to(SOURCES / self.name)) for path in sorted((SOURCES / self.name).rglob("*")) if path.is_file()]
        return pairs + ([(SOURCES / "shared" / self.shared, self.home / self.shared)] if self.shared else [])


class Hiredis(Library):
    """It comes from Debian, like its version."""

    def prepare(self):
        debian(self.packages)
        super().prepare()

    def version(self):
        return run(["dpkg-query", "-W", "-f=${Version} (Debian)", "libhiredis-dev"])


def _java(name):
    # Fetched by the plugin itself: the folder has a list of dependencies and no build.
    return Library(name, ("pom.xml", r"<artifactId>(?:jedis|lettuce-core)</artifactId>\s*<version>([^<]+)"), "mvn", ["maven", "default-jdk-headless"],
                   {"fetching the library": ["mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
                                             "-DoutputDirectory=lib"],
                    "compiling": ["javac", "-Xlint:all,-processing,-serial", "-cp", "lib/*", "-d", "classes", "Check.java", "Checks.java"]},
                   ["java", "-XX:TieredStopAtLevel=1", "-cp", "classes:lib/*", "Checks"], shared="Check.java", runtime=[("javac", "-version")])


def _node(name, package):
    return Library(name, ("package.json", rf'"{package}": "([^"]+)"'), "npm", ["nodejs", "npm"],
                   {"fetching the library": ["npm", "ci", "--no-audit", "--no-fund"]}, ["node", "checks.mjs"], shared="check.mjs",
                   runtime=[("node", "--version")])


CLIENTS = [
    Library("redis-py", ("requirements.txt", r"redis==(\S+)"), "python3", ["python3", "python3-venv"],
            {"making a virtual environment": [sys.executable, "-m", "venv", "venv"],
             "fetching the library": ["venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q", "-r", "requirements.txt"]},
            ["venv/bin/python", "checks.py"], runtime=[("venv/bin/python", "--version")]),
    _node("ioredis", "ioredis"),
    _node("node-redis", "redis"),
    Library("go-redis", ("go.mod", r"go-redis/v9 v(\S+)"), "go", [],
            {"fetching and building": ["go", "build", "-mod=readonly", "-o", "checks", "."]}, ["./checks"], runtime=[("go", "version")]),
    Library("redis-rs", ("Cargo.toml", r'version = "=([^"]+)"'), "cargo", [],
            {"fetching and building": ["cargo", "build", "--quiet"]}, ["target/debug/checks"], runtime=[("cargo", "--version")]),
    _java("jedis"),
    _java("lettuce"),
    Hiredis("hiredis", None, "cc", ["gcc", "libhiredis-dev"],
            {"building": ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o", "checks", "checks.c", "-lhiredis"]}, ["./checks"]),
]
