"""Whole commands, timed from start to end: for the benchmarks of xtctl."""
import subprocess
import sys
import time


def peak(pid):
    """The most memory that a process had so far, in MiB; 0: it is gone. (What wait4() tells counts what this program had before the
    exec.)"""
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(next((line for line in f if line.startswith("VmHWM")), "VmHWM: 0").split()[1]) / 1024
    except OSError:
        return 0


def timed(args, out=subprocess.DEVNULL):
    """Seconds that a command took, and the most memory it had in MiB."""
    began, most = time.monotonic(), 0
    p = subprocess.Popen(args, stdout=out, stdin=subprocess.DEVNULL)
    while p.poll() is None:
        most = max(most, peak(p.pid))
        try:
            p.wait(0.001 if most == 0 else 0.01)
        except subprocess.TimeoutExpired:
            pass
    if p.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, args))} failed")
    return time.monotonic() - began, most
