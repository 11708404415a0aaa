"""What a disk holds after a power failure, made from the journal that shim.c keeps.

What was synced is there. Of what was written later anything may be: each sector of each write, each truncation
and each removal is kept or lost by the throw of a die, in whatever order the disk took them.
"""
import struct
from collections import namedtuple

RECORD = struct.Struct("=cB2xIQ")  # as in shim.c
SUFFIXES = {1: "", 2: "-wal", 3: "-journal"}
SECTOR = 512  # bytes that a disk writes whole or not at all
SHARES = (0, 0.1, 0.5, 0.9, 1)  # of what was not synced that is kept

Record = namedtuple("Record", "what which at data")


def read_journal(path):
    """The records in their order; a last one that was cut by the daemon's death is left out."""
    data, at, records = path.read_bytes(), 0, []
    while at + RECORD.size <= len(data):
        what, which, size, where = RECORD.unpack_from(data, at)
        at += RECORD.size
        if at + size <= len(data):
            records.append(Record(what.decode(), which, where, data[at:at + size]))
        at += size
    return records


def apply(content, record):
    """A file's content after the record; None: there is no such file."""
    if record.what == "D":
        return None
    content = bytearray() if content is None else content
    end = record.at + len(record.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if record.what == "T":
        del content[record.at:]
    else:
        content[record.at:end] = record.data
    return content


def sectors(record):
    """The record in the pieces that it may be torn into."""
    if record.what != "W":
        return [record]
    cuts = [0, *range(SECTOR - record.at % SECTOR, len(record.data), SECTOR), len(record.data)]
    return [record._replace(at=record.at + a, data=record.data[a:b]) for a, b in zip(cuts, cuts[1:])]


class Platter:
    """Takes records one by one; `fail` may be called at any point, and changes nothing."""

    def __init__(self, honest=True):
        self.honest = honest  # it does what it is told when it is told to sync
        self.synced = dict.fromkeys(SUFFIXES)
        self.later = {which: [] for which in SUFFIXES}

    def take(self, record):
        if record.what != "S":
            self.later[record.which].append(record)
        if self.honest and record.what in "SD" and record.at == 1:
            self.sync_directory()
        if self.honest and record.what == "S":
            self.sync(record.which, len(self.later[record.which]))

    def sync(self, which, n):
        """The first n of the later records are safe."""
        for r in self.later[which][:n]:
            self.synced[which] = apply(self.synced[which], r)
        del self.later[which][:n]

    def sync_directory(self):
        """What was removed does not come back."""
        for which, later in self.later.items():
            removals = [i for i, r in enumerate(later) if r.what == "D"]
            if removals:
                self.sync(which, removals[-1] + 1)

    def fail(self, path, die):
        """Leaves in `path` and beside it what survived."""
        for which, suffix in SUFFIXES.items():
            content = self.synced[which]
            content = None if content is None else bytearray(content)
            share = die.choice(SHARES)
            for record in self.later[which]:
                for piece in sectors(record):
                    if die.random() < share:
                        content = apply(content, piece)
            if content is not None:
                path.with_name(path.name + suffix).write_bytes(content)
