"""The power fails at any moment: acknowledged rows are there, once, and the clients go on.

A run keeps a journal of its disk, and how much of it there was at each acknowledgement. So the power can fail after any
record of it, again and again: what a disk may then hold is made, and a daemon started on that. $XT_SEED repeats the
rows and the dice of a run, though not its batches.
"""
import os
import random
import sqlite3

import pytest
from conftest import sqlite
from power import Platter, read_journal
from shim import XETRACKD_FAULT, Disk

pytestmark = pytest.mark.skipif(not os.access(XETRACKD_FAULT, os.X_OK), reason=f"{XETRACKD_FAULT} is not built")

SEED = int(os.environ.get("XT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CLIENTS, ROUNDS, CUTS = 3, 45, 36
LEAVE_EVERY = 9  # rounds after which all clients leave, and the log is put back


class Load:
    """Rows of a few clients, logged on a disk that keeps a journal; and what was acknowledged when."""

    def __init__(self, start, runtime, durability):
        print(f"XT_SEED={SEED}")
        self.die = random.Random(SEED)
        self.acks = []  # (records in the journal by then, client id, acknowledged)
        disk = Disk(runtime / "disk")
        d = start(runtime / "powered.db", "--durability", durability, program=[XETRACKD_FAULT],
                  env=disk.env(journal=True))
        ids = [bytes([k]) * 16 for k in range(1, CLIENTS + 1)]
        self.rows = {i: [] for i in ids}  # of each client, in the order of their numbers
        for first in range(0, ROUNDS, LEAVE_EVERY):
            clients = [d.client(client_id=i) for i in ids]
            for _ in range(LEAVE_EVERY):
                for c in clients:
                    self.send(c)
                for c in clients:
                    c.until_ack(c.seq)
                    self.acks.append((disk.records, c.id, c.acked))
            for c in clients:
                c.close()
        d.kill()  # what it would put in order on its way out is not to be there
        self.records = read_journal(disk.journal)

    def send(self, c):
        """Some rows, small and large, now and then with a new key."""
        for _ in range(self.die.randint(1, 4)):
            row = {"client": c.id, "n": c.seq + 1, "text": "x" * self.die.choice((10, 300, 300, 20000))}
            if self.die.random() < 0.05:
                row[f"key_{c.seq}"] = 1
            c.log(row)
            self.rows[c.id].append(row)

    def cuts(self):
        """Numbers of records after which the power fails: anywhere, right behind an acknowledgement, and while the
        log is put back."""
        back = [i for i, r in enumerate(self.records) if r.which == 1]
        where = (range(len(self.records)), [at for at, _, _ in self.acks], back)
        return sorted({cut for places in where for cut in self.die.sample(places, min(len(places), CUTS // 3))})

    def acked(self, cut):
        last = dict.fromkeys(self.rows, 0)
        for at, client, seq in self.acks:
            if at <= cut:
                last[client] = seq
        return last

    def failures(self, runtime, honest=True):
        """(cut, path of the database that the power failure left)."""
        platter, taken = Platter(honest), 0
        for cut in self.cuts():
            for record in self.records[taken:cut]:
                platter.take(record)
            taken = cut
            print(f"the power fails after record {cut} of {len(self.records)}")
            path = runtime / f"cut{cut}.db"
            platter.fail(path, self.die)
            yield cut, path


def stored(db):
    """Numbers of the rows there are, by client; None: the file cannot be read."""
    found = {}
    try:
        if sqlite(db, "PRAGMA integrity_check") != [("ok",)]:
            return None
        if sqlite(db, "SELECT 1 FROM sqlite_schema WHERE name = 'events'"):
            for client, n in sqlite(db, "SELECT client, n FROM events"):
                found.setdefault(client, []).append(n)
    except sqlite3.DatabaseError:
        return None
    return found


def lost(db, acked):
    """Acknowledged rows are missing, or everything is."""
    found = stored(db)
    return found is None or any(not set(range(1, n + 1)) <= set(found.get(c, [])) for c, n in acked.items())


def goes_on(start, db, load, acked):
    """A daemon on what was left: nothing acknowledged is missing, and the clients send the rest."""
    d = start(db)
    for client, rows in load.rows.items():
        with d.client(client_id=client, hello=False) as c:
            c.hello(last_seq=len(rows), acked=acked[client])
            assert c.mark >= acked[client], "acknowledged rows are lost"
            assert sorted(stored(db).get(client, [])) == list(range(1, c.mark + 1)), "rows and mark differ"
            if c.mark < len(rows):
                c.log(rows[c.mark:])
            c.until_ack(len(rows))
    d.stop()
    whole = {client: list(range(1, len(rows) + 1)) for client, rows in load.rows.items()}
    assert {client: sorted(n) for client, n in stored(db).items()} == whole


def test_acknowledged_rows_survive(daemon, runtime):
    load = Load(daemon, runtime, "full")
    for cut, db in load.failures(runtime):
        goes_on(daemon, db, load, load.acked(cut))


def test_normal_durability_may_lose_rows_but_not_the_database(daemon, runtime):
    load = Load(daemon, runtime, "normal")
    for cut, db in load.failures(runtime):
        goes_on(daemon, db, load, dict.fromkeys(load.rows, 0))


@pytest.mark.parametrize("durability, honest", [("full", False), ("off", True)],
                         ids=["a disk that lies about syncs", "durability off"])
def test_the_loss_would_be_seen(daemon, runtime, durability, honest):
    """The first test can fail: on this disk, or in this mode, it would."""
    load = Load(daemon, runtime, durability)
    failures = [lost(db, load.acked(cut)) for cut, db in load.failures(runtime, honest)]
    assert sum(failures) > len(failures) / 2
