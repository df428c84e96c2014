"""Suites that are pytest's: redis-py's own tests, and fakeredis' machines that compare its model with a server.

Both come from their source distributions on PyPI, into a virtual environment of the cache.
"""
import fnmatch
import os
import pathlib
import re
import shutil
import sys
import tarfile

import limited
import pytest_output
import rivals
import settings
from progress import Failure, run, run_logged

_HOME = pathlib.Path(settings.CACHE) / "compat"
_LOGS = rivals.ROOT / "build" / "compat"
_HARNESS = pathlib.Path(__file__).resolve().parent
_TEST_LIMIT_S = 30  # for one test
_RUN_LIMIT_S = int(os.environ.get("LIMIT", "1800"))


class Environment:
    """A virtual environment with a package from its source distribution, whose tests lie unpacked beside it."""

    def __init__(self, package, version, needs):
        self.package, self.version = package, version
        self.home = _HOME / f"{package}-{version}"
        self.source = self.home / "source"
        # The virtual environment knows its own path, so the folder is made where it stays.
        ready = self.home / "ready"
        if not ready.exists():
            shutil.rmtree(self.home, ignore_errors=True)
            self.home.mkdir(parents=True)
            log = str(_LOGS / package / "fetch.log")
            run_logged("making a virtual environment", [sys.executable, "-m", "venv", str(self.home / "venv")], log)
            pip = [str(self.python), "-m", "pip", "--disable-pip-version-check"]
            run_logged(f"fetching {package} {version}", [*pip, "download", "--no-deps", "--no-binary", package, "--dest", str(self.home), f"{package}=={version}"], log)
            archive, = self.home.glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(self.home, filter="data")
            os.rename(self.home / archive.name.removesuffix(".tar.gz"), self.source)
            run_logged("installing it and what its tests need", [*pip, "install", "-q", str(self.source), *needs], log)
            ready.touch()

    @property
    def python(self):
        return self.home / "venv" / "bin" / "python"

    def versions(self):
        listed = run([str(self.python), "-m", "pip", "list", "--disable-pip-version-check", "--format", "freeze"])
        return dict(line.split("==") for line in listed.split() if "==" in line)

    def pytest(self, rival, title, arguments, folder):
        """Returns file -> FileResult."""
        log = _LOGS / self.package / rival.name / f"{title}.log"
        lines = log.with_suffix(".jsonl")
        lines.unlink(missing_ok=True)
        in_time = limited.run(
            [str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_lines", "--tb", "short",
             # The limit is for a test alone: one that strikes while pytest writes down a failure ends the whole run.
             "--timeout", str(_TEST_LIMIT_S), "-o", "timeout_func_only=true", *arguments],
            log, _RUN_LIMIT_S, f"{self.package} {title} against {rival.name}", cwd=folder,
            env={**os.environ, "PYTHONPATH": str(_HARNESS), "PYTHONDONTWRITEBYTECODE": "1", "COMPAT_LINES": str(lines)})
        if not lines.exists():
            raise Failure(f"pytest ran no test of {self.package}; its log is {log}")
        return pytest_output.parse(lines.read_text(encoding="utf-8"), in_time)


class RedisPy:
    # Modules, Redis Cluster, Sentinel, TLS, and those that ask an identity provider.
    _LEFT_OUT = ["test_bloom", "test_json", "test_search", "test_timeseries", "test_vsets", "test_cluster*", "test_sentinel*", "test_ssl", "test_credentials"]
    _MARKS = "not redismod and not onlycluster and not ssl and not cp_integration and not graph"

    def __init__(self, protocol):
        self.title = f"redis-py's own tests, RESP{protocol}"
        self.protocol = protocol
        self.environment = Environment("redis", "6.4.0", ["pytest", "pytest-asyncio", "pytest-timeout", "packaging", "mock", "PyJWT", "numpy"])

    @property
    def about(self):
        versions = self.environment.versions()
        return (f"source distribution of redis {versions['redis']}, pytest {versions['pytest']}, RESP{self.protocol}, sync and asyncio; "
                f"without {', '.join(self._LEFT_OUT)} and `-m \"{self._MARKS}\"`")

    def files(self):
        source = self.environment.source
        return [str(path.relative_to(source)) for path in sorted((source / "tests").rglob("test_*.py"))
                if not any(fnmatch.fnmatch(path.stem, pattern) for pattern in self._LEFT_OUT)]

    def run(self, rival, files):
        server = rivals.start(rival)
        try:
            results = self.environment.pytest(rival, f"resp{self.protocol}", [
                "--redis-url", f"redis://127.0.0.1:{server.port}/0", "--protocol", str(self.protocol), "-m", self._MARKS, *files],
                self.environment.source)
            if rivals.ended(server) and results:
                list(results.values())[-1].notes.append(rivals.ended(server))
        finally:
            server.stop()
        yield from results.items()


class Fakeredis:
    """Hypothesis makes sequences of commands; a model of Redis 7 and a server have to answer the same."""
    title = "fakeredis' hypothesis tests"
    _FOLDER = "test/test_hypothesis"

    def __init__(self):
        self.environment = Environment("fakeredis", "2.41.0", [
            "valkey", "redis==6.4.0", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-mock", "hypothesis", "lupa"])
        self.examples = os.environ.get("EXAMPLES", "250")

    @property
    def about(self):
        versions = self.environment.versions()
        return (f"source distribution of fakeredis {versions['fakeredis']}, hypothesis {versions['hypothesis']}, {self.examples} examples for each machine, "
                "always the same ones; both servers beside the model of Redis 7")

    def files(self):
        return [f"{self._FOLDER}/{path.name}" for path in sorted((self.environment.source / self._FOLDER).glob("test_*.py"))]

    def run(self, rival, files):
        server = rivals.start(rival)
        folder = _LOGS / "fakeredis" / rival.name / "source"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.environment.source, folder)
        for path, change in ((folder / "test" / "conftest.py", lambda text: _at_port(text, server.port)),
                             (folder / self._FOLDER / "conftest.py", _untimed)):
            path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        os.environ["FAKEREDIS_HYPOTHESIS_EXAMPLES"] = self.examples
        try:
            # A machine of 250 examples takes minutes.
            results = self.environment.pytest(rival, "hypothesis", ["--hypothesis-seed", "1", "--timeout", "600", *files], folder)
            if rivals.ended(server) and results:
                list(results.values())[-1].notes.append(rivals.ended(server))
        finally:
            server.stop()
        yield from results.items()


def _at_port(conftest, port):
    """The port is written into fakeredis' tests. Beside a server that calls itself Valkey their model would be another
    one, and their handling of errors does not work there."""
    return re.sub(r"\b6390\b", str(port), _with(conftest, 'if "server_name" in client_info:', "if False:"))


def _untimed(conftest):
    """How long an example takes is the machine's."""
    profile = 'settings.register_profile("fakeredis", '
    conftest = _with(conftest, "from hypothesis import settings", "from hypothesis import HealthCheck, settings")
    return _with(conftest, profile, profile + "deadline=None, suppress_health_check=list(HealthCheck), ")


def _with(text, old, new):
    if text.count(old) != 1:
        raise Failure(f"a conftest.py of fakeredis is not as expected: {old!r} is there {text.count(old)} times, not once")
    return text.replace(old, new)
