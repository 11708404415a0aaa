"""The test's side of shim.c: says what fails in xetrackd-fault, and when."""
import mmap
import os
import struct

from conftest import BUILD

XETRACKD_FAULT = os.environ.get("XETRACKD_FAULT", str(BUILD / "xetrackd-fault"))

# As in shim.c.
CALLS = ("none", "open", "read", "write", "truncate", "sync", "shm", "lock", "alloc")
FIELDS = ("call", "code", "half", "first", "last", "calls", "failed", "records")

FOREVER = (1 << 64) - 1


class Disk:
    """The page shared with one daemon. Its numbers are attributes: `disk.failed`."""

    def __init__(self, path):
        self.path = path
        self.journal = path.with_suffix(".journal")
        path.write_bytes(bytes(8 * len(FIELDS)))
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 0)

    def env(self, journal=False):
        env = dict(os.environ, XT_FAULT=str(self.path))
        return dict(env, XT_FAULT_JOURNAL=str(self.journal)) if journal else env

    def set(self, field, value):
        struct.pack_into("=Q", self.page, 8 * FIELDS.index(field), value)

    def __getattr__(self, field):
        if field not in FIELDS:
            raise AttributeError(field)
        return struct.unpack_from("=Q", self.page, 8 * FIELDS.index(field))[0]

    def fail(self, call, code, first=1, last=None, half=False):
        """From now on the calls `first` to `last` of a kind answer `code`; `last` is `first` unless given."""
        self.heal()
        for field, value in (("code", code), ("half", half), ("first", first),
                             ("last", last or first), ("calls", 0), ("failed", 0)):
            self.set(field, value)
        self.set("call", CALLS.index(call))

    def heal(self):
        self.set("call", 0)
