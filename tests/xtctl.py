"""xtctl, called as its users call it: run() has all that came of it, ok() what it printed, refused() why it would not."""
import os
import pty
import subprocess

import pytest
from conftest import SANITIZER, TIMEOUT, XTCTL

needs_xtctl = pytest.mark.skipif(not os.access(XTCTL, os.X_OK), reason=f"{XTCTL} is not built")


def run(*args, program=XTCTL, stdin=None, env=None, text=True, **kw):
    """The finished process, whatever its status, with its outputs as text, line ends and all, or as bytes. Its standard
    input is what is given or nothing; its environment is ours in a UTF-8 locale, with `env` on top."""
    given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin.encode() if isinstance(stdin, str) else stdin}
    p = subprocess.run([program, *map(str, args)], capture_output=True, timeout=TIMEOUT,
                       env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}, **given, **kw)
    assert not any(sign.encode() in p.stderr for sign in SANITIZER), p.stderr
    if text:
        p.stdout, p.stderr = p.stdout.decode(), p.stderr.decode()
    return p


def ok(*args, **kw):
    """What it printed, having done it."""
    p = run(*args, **kw)
    assert p.returncode == 0, (args, p.returncode, p.stdout, p.stderr)
    return p.stdout


def refused(*args, status=1, **kw):
    """What it said on standard error, having printed nothing and left with this status."""
    p = run(*args, **kw)
    assert p.returncode == status and not p.stdout, (args, p.returncode, p.stdout, p.stderr)
    assert p.stderr.startswith(f"{os.path.basename(p.args[0])}: "), p.stderr
    return p.stderr


def asked(answer, *args, program=XTCTL):
    """What it came to, and what stood on the terminal, where somebody sits who gives this answer to each question."""
    screen, terminal = pty.openpty()
    os.write(screen, answer.encode())
    p = subprocess.Popen([program, *map(str, args)], stdin=terminal, stdout=subprocess.PIPE, stderr=terminal,
                         env={**os.environ, "LC_ALL": "C.UTF-8"})
    out = p.communicate(timeout=TIMEOUT)[0].decode()
    os.close(terminal)
    said = b""
    try:
        while data := os.read(screen, 65536):
            said += data
    except OSError:  # nobody writes any more
        pass
    os.close(screen)
    assert not any(sign.encode() in said for sign in SANITIZER), said
    return p.returncode, out, said.decode().replace("\r\n", "\n")
