"""What `make install` puts where, and that a stranger's program builds against it."""
import os
import subprocess

import pytest
from conftest import BUILD, ROOT, TIMEOUT

PROGRAM = """
#include <stdio.h>
#include <xetrack.h>
/* Names that the library has inside too: they must not collide. */
int buf_add(void); int buf_add(void) { return 1; }
int main(void) { puts(xt_version()); return strcmp(xt_status_name(XT_OK), "XT_OK") == 0 && buf_add() ? 0 : 1; }
"""


def run(*args, **kw):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=5 * TIMEOUT, **kw)
    assert p.returncode == 0, (args, p.stdout, p.stderr)
    return p.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    if not (BUILD / "xetrackd").exists():
        pytest.skip("xetrackd is not built")
    path = tmp_path_factory.mktemp("install")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", path)
    prefix = [o for o in run("meson", "introspect", BUILD, "--buildoptions").replace("{", "\n{").splitlines()
              if '"name": "prefix"' in o][0].split('"value": "')[1].split('"')[0]
    return path / prefix.lstrip("/")


@pytest.mark.parametrize("name", [
    "bin/xetrackd", "bin/xtctl", "bin/xt", "lib/libxetrack.so", "lib/libxetrack.so.0", "lib/libxetrack.a",
    "include/xetrack.h", "lib/pkgconfig/xetrack.pc", "share/man/man8/xetrackd.8", "share/man/man3/libxetrack.3",
    "share/man/man1/xtctl.1", "share/bash-completion/completions/xtctl.bash", "share/zsh/site-functions/_xtctl",
    "share/fish/vendor_completions.d/xtctl.fish", "lib/systemd/system/xetrackd@.service", "lib/systemd/system/xetrackd@.socket",
    "lib/systemd/user/xetrackd@.service", "lib/systemd/user/xetrackd@.socket", "lib/sysusers.d/xetrackd.conf",
])
def test_is_there(root, name):
    assert (root / name).exists()


def test_nothing_else_is_there(root):
    programs = sorted(p.name for p in (root / "bin").iterdir())
    assert programs == ["xetrackd", "xt", "xtctl"]


def test_every_command_has_its_man_page(root):
    pages = {p.name for p in (root / "share/man/man1").iterdir()}
    assert pages == {f"xtctl-{name}.1" for name in run(BUILD / "xt-man", "--list").split()} | {"xtctl.1"}


def test_only_xt_is_exported(root):
    names = [line.split()[-1] for line in run("nm", "-D", "--defined-only", root / "lib/libxetrack.so").splitlines()]
    functions = [n.split("@")[0] for n in names if not n.startswith("XETRACK_")]
    assert "xt_open" in functions and "xt_log_rows" in functions
    declared = (root / "include/xetrack.h").read_text()
    assert [n for n in functions if f"{n}(" not in declared] == []


def test_soname(root):
    assert "[libxetrack.so.0]" in run("readelf", "-d", root / "lib/libxetrack.so")


@pytest.mark.parametrize("program", ["bin/xetrackd", "bin/xtctl"])
def test_hardening(root, program):
    assert "DYN" in run("readelf", "-h", root / program)
    dynamic = run("readelf", "-d", root / program)
    assert "NOW" in dynamic
    assert "GNU_RELRO" in run("readelf", "-l", root / program)
    assert "__stack_chk_fail" in run("nm", "-D", root / program)
    assert "_chk@" in run("nm", "-D", root / program)


@pytest.mark.parametrize("how", ["shared", "static"])
@pytest.mark.parametrize("standard", ["c11", "gnu17"])
def test_a_program_builds_against_it(root, tmp_path, how, standard):
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    env = dict(os.environ, PKG_CONFIG_PATH=str(root / "lib/pkgconfig"), PKG_CONFIG_SYSROOT_DIR="")
    flags = run("pkg-config", f"--define-variable=prefix={root}", "--cflags", "--libs",
                *(["--static"] if how == "static" else []), "xetrack", env=env).split()
    if how == "static":
        flags = [str(root / "lib/libxetrack.a") if f == "-lxetrack" else f for f in flags]
    run("cc", f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", source, "-o", tmp_path / "program", *flags)
    out = run(tmp_path / "program", env=dict(os.environ, LD_LIBRARY_PATH=str(root / "lib")))
    assert out.strip() == (ROOT / "meson.build").read_text().split("version: '")[1].split("'")[0]


def test_header_compiles_as_cplusplus(root, tmp_path):
    source = tmp_path / "program.cc"
    source.write_text("#include <xetrack.h>\nint main() { return xt_version() == nullptr; }\n")
    run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{root / 'include'}", source)


def test_the_python_package_finds_its_library(root):
    """As it was installed, it loads the library beside it and not another one."""
    (package,) = root.rglob("xetrackd/__init__.py")
    where = package.parent.parent
    assert {p.name for p in package.parent.iterdir()} >= {"_xetrackd.abi3.so", "_xetrackd.pyi", "py.typed", "tracker.py", "pool.py"}
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
    out = run("/usr/bin/python3", "-c", f"import sys; sys.path.insert(0, {str(where)!r})\n"
              "import xetrackd\nprint(xetrackd.__version__)\n"
              "print([l.split()[-1] for l in open('/proc/self/maps') if 'libxetrack' in l][0])", env=env, cwd="/")
    version, library = out.split()
    assert version == "0.1.0" and library.startswith(str(root))
