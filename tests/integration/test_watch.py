"""`watch` and `tail -f`: a stream of rows, with real processes at both ends."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import termios

import pytest
from conftest import TIMEOUT, XT_LOAD, XTCTL
from xtctl import needs_xtctl, ok, run

pytestmark = needs_xtctl


class Watch:
    """A running `watch --format jsonl` that has shown its first row, so that it is known to follow."""

    def __init__(self, db, *args, form="jsonl", ready=1, command="watch"):
        self.proc = subprocess.Popen([XTCTL, command, str(db), "-n", "1", "--format", form, *args], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        self.first = [self.line() for _ in range(ready)]

    def line(self):
        line = self.proc.stdout.readline()
        assert line, self.proc.communicate(timeout=TIMEOUT)
        return line.rstrip("\n")

    def rows(self, n, key="n"):
        return [json.loads(self.line())[key] for _ in range(n)]

    def end(self, number=signal.SIGINT):
        """Exit status, what else it printed, and what it said."""
        if number:
            self.proc.send_signal(number)
        out, err = self.proc.communicate(timeout=TIMEOUT)
        assert "Sanitizer" not in err, err
        return self.proc.returncode, out, err


@pytest.fixture
def watch():
    started = []

    def start(*args, **kw):
        started.append(Watch(*args, **kw))
        return started[-1]

    yield start
    for w in started:
        if w.proc.poll() is None:
            w.proc.kill()
        w.proc.communicate()


@pytest.fixture
def filled(served, client):
    client.store({"n": 0}, track_id="first")
    return served.db


def test_rows_come_in_order_until_ctrl_c(filled, client, watch):
    w = watch(filled)
    assert json.loads(w.first[0])["n"] == 0
    client.store([{"n": 1}, {"n": 2}])
    assert w.rows(2) == [1, 2]
    client.store({"n": 3})
    assert w.rows(1) == [3]
    assert w.end() == (130, "", "")


def test_a_table_has_one_head_and_another_for_new_columns(filled, client, watch):
    w = watch(filled, "--columns", "n", form="table", ready=3)
    assert [line.strip() for line in w.first] == ["n", "───", "0"] or w.first[2].strip() == "0"
    client.store({"n": 1})
    assert w.line().strip() == "1"
    w.end()
    w = watch(filled, form="csv", ready=2)
    client.store({"n": 2, "extra": "x"})
    assert [w.line().split(",")[-2:], w.line().split(",")[-2:]] == [["n", "extra"], ["2", "x"]]
    assert w.end()[0] == 130


def test_columns_stay_below_their_heads(served, client, watch):
    """A longer track_id has its room; what is wider yet gets a head of its own."""
    client.store({"model": "a", "n": 0}, track_id="x")
    w = watch(served.db, "--columns", "track_id,model,n", form="table", ready=3)
    sign = "│" if "│" in w.first[0] else "|"

    def places(line):
        return [i for i, c in enumerate(line) if c == sign]

    client.store({"model": "b", "n": 1}, track_id="purple-mountain-4392")
    assert places(w.line()) == places(w.first[2]) == places(w.first[0])
    client.store({"model": "a-longer-model", "n": 2}, track_id="y")
    head, rule, row = w.line(), w.line(), w.line()
    assert head.split()[0] == "track_id" and "a-longer-model" in row and places(row) == places(head) != places(w.first[0])
    client.store({"model": "c", "n": 3}, track_id="z")
    assert places(w.line()) == places(head)
    w.end()


@pytest.fixture
def screen(served):
    """Starts `watch` on a terminal of 80 columns; lines(mark) are those up to one that the pattern is in."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    started = []

    def start(*args):
        started.append(subprocess.Popen([XTCTL, "watch", served.db, *args], stdout=theirs, stderr=subprocess.PIPE,
                                        env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb"}))
        text = b""

        def lines(mark):
            nonlocal text
            found = []
            while not found or not re.search(mark, found[-1]):
                while b"\n" not in text:
                    assert select.select([ours], [], [], TIMEOUT)[0], found
                    text += os.read(ours, 4096)
                line, _, text = text.partition(b"\n")
                found.append(line.decode().rstrip())
            return found

        return lines

    yield start
    for p in started:
        p.kill()
        p.communicate()
    os.close(theirs)
    os.close(ours)


def heads(lines):
    """The lines above the rules."""
    return [above for above, rule in zip(lines, lines[1:]) if set(rule) <= set("─┼")]


def test_lines_fit_though_values_become_wider(client, screen):
    """What no longer fits is left out, below a head of its own; so it is with columns that come later."""
    wide = {f"number_{i}": 10**14 + i for i in range(9)}
    client.store({f"number_{i}": i for i in range(9)}, track_id="r")
    lines = screen("-n", "1")
    shown = lines(" 8$")
    client.store(wide, track_id="r")
    shown += lines("100000000000008$")
    client.store({**wide, "repeat": 7 * 10**15, "error": "no answer " * 9}, track_id="r")
    shown += lines("7000000000000000")
    assert max(map(len, shown)) <= 80, shown
    assert [re.sub("[ …]+", " ", head).split("│")[-1].strip() for head in heads(shown)] == ["number_8", "number_8", "error"]
    assert [[line.count("│") for line in shown[at:at + 3:2]] for at in (0, 3, 6)] == [[5, 5], [5, 5], [4, 4]], shown


def test_a_column_left_out_comes_when_it_has_something_to_tell(client, screen):
    """It had NULLs only, and so gave way: a first error must not go unseen for that."""
    client.store({**{f"number_{i}": i for i in range(4)}, **{f"real_{i}": i / 3 for i in range(4)}}, track_id="r")
    client.change("exec", sql="ALTER TABLE events ADD COLUMN late TEXT")
    lines = screen("-n", "1")
    shown = lines("1[.]0 │ …$")
    client.store({"late": "it failed"}, track_id="r")
    shown += lines("it failed")
    assert ["late" in head for head in heads(shown)] == [False, True] and max(map(len, shown)) <= 80, shown


def test_tail_follows(filled, client, watch):
    w = watch(filled, "-f", command="tail")
    client.store({"n": 1})
    assert w.rows(1) == [1]
    w.end()
    w = watch(filled, "-f", "-n", "1", "--columns", "n", command="tail")
    assert json.loads(w.first[0]) == {"n": 1}
    client.store({"n": 2, "model": "a"})
    assert json.loads(w.line()) == {"n": 2}
    w.end()


def test_conditions(filled, client, watch):
    client.store({"n": 5, "model": "a", "level": 3}, track_id="x")
    w = watch(filled, "--where", "model=a", "--where", "level<=3")
    assert json.loads(w.first[0])["n"] == 5
    client.store([{"n": 6, "model": "b", "level": 3}, {"n": 7, "model": "a", "level": 4}, {"n": 8, "model": "a", "level": 3}])
    assert w.rows(1) == [8]
    w.end()
    p = run("watch", filled, "--where", "modell=a")
    assert p.returncode == 1 and "did you mean 'model'" in p.stderr
    w = watch(filled, "--track-id", "first")
    client.store({"n": 9}, track_id="other")
    client.store({"n": 10}, track_id="first")
    assert w.rows(1) == [10]
    w.end()


def test_deleted_rows_hide_none(filled, client, watch):
    w = watch(filled)
    client.store([{"n": 1}, {"n": 2}], track_id="second")
    assert w.rows(2) == [1, 2]
    client.change("delete_run", track_id="second", force=True)
    client.store([{"n": 3}, {"n": 4}, {"n": 5}], track_id="third")
    assert w.rows(3) == [3, 4, 5]
    with sqlite3.connect(filled) as other:
        other.execute("DELETE FROM events WHERE n >= 4")
    other.close()
    client.store([{"n": 6}, {"n": 7}, {"n": 8}], track_id="third")
    assert w.rows(3) == [6, 7, 8]
    assert w.end()[:2] == (130, "")


def test_other_programs_rows(filled, watch):
    w = watch(filled)
    with sqlite3.connect(filled) as other:
        other.executemany("INSERT INTO events(track_id, timestamp, n) VALUES ('x', '2024', ?)", [(1,), (2,)])
    other.close()
    assert w.rows(2) == [1, 2]
    w.end()


def test_a_table_to_come(served, client, watch):
    w = subprocess.Popen([XTCTL, "watch", served.db, "--table", "later", "--json"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    assert "no table 'later' yet" in w.stderr.readline()
    client.store([{"n": 1}, {"n": 2}], table="later")
    assert [json.loads(w.stdout.readline())["n"] for _ in range(2)] == [1, 2]
    w.send_signal(signal.SIGINT)
    w.communicate(timeout=TIMEOUT)
    assert w.returncode == 130


def test_many_rows_to_a_slow_reader(filled, client, watch):
    w = watch(filled)
    for start in range(1, 40001, 1000):
        client.log([[n, "x" * 100] for n in range(start, start + 1000)], columns=["n", "text"])
    client.flush()
    assert w.rows(40000) == list(range(1, 40001))
    w.end()


def test_it_survives_a_restart(db, autostarted, watch):
    autostarted(db)
    ok("log", db, "n=0")
    w = watch(db)
    ok("restart", db)
    ok("log", db, "n=1")
    assert w.rows(1) == [1]
    pid = int(json.loads(ok("status", db, "--json"))["pid"])
    os.kill(pid, signal.SIGKILL)
    ok("log", db, "n=2")
    assert w.rows(1) == [2]
    assert w.end()[0] == 130


def test_nothing_is_missed_or_doubled_while_daemons_are_killed(db, autostarted, watch):
    autostarted(db)
    ok("log", db, "worker=0", "i=0", "--table", "predictions")
    w = watch(db, "--table", "predictions", "--columns", "worker,i,track_id", ready=1)
    rows, workers = 30000, [subprocess.Popen([XT_LOAD, db, str(k), "10000"]) for k in (1, 2, 3)]
    shown = [w.line()]
    while len(shown) < rows:
        if len(shown) in (2000, 9000, 18000):
            os.kill(json.loads(ok("status", db, "--json"))["pid"], signal.SIGKILL)
        shown.append(w.line())
    assert [p.wait(TIMEOUT) for p in workers] == [0, 0, 0]
    assert len(set(shown)) == rows
    assert json.loads(ok("sql", db, "SELECT count(*) AS n FROM predictions", "--json")) == [{"n": rows + 1}]
    assert w.end()[:2] == (130, "")


def test_it_ends_when_the_daemon_is_stopped(db, autostarted, watch):
    autostarted(db)
    ok("log", db, "n=0")
    w = watch(db)
    ok("down", db)
    status, out, err = w.end(None)
    assert (status, out) == (1, "") and "was stopped" in err and "up" in err


def test_it_ends_when_no_daemon_comes_back(daemon, db, monkeypatch, watch):
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    d = daemon(db)
    with d.client() as c:
        c.store({"n": 0})
    w = watch(db)
    d.kill()
    status, out, err = w.end(None)
    assert (status, out) == (1, "") and "no daemon" in err


def test_another_database_takes_its_place(db, runtime, autostarted, watch):
    autostarted(db)
    other = runtime / "other.db"
    autostarted(other)
    for n in range(5):
        ok("log", other, f"n={n}")
    ok("down", other)
    ok("log", db, "n=0")
    w = watch(db)
    os.replace(other, db)
    ok("log", db, "n=77")
    assert "another database took the place" in w.proc.stderr.readline()
    ok("log", db, "n=78")
    shown = w.rows(1)
    assert (w.rows(1) if shown == [77] else shown) == [78]  # 77 may have been there already when it looked
    assert w.end()[0] == 130


def test_nobody_reads_any_more(filled, watch):
    w = watch(filled)
    w.proc.stdout.close()
    assert w.proc.wait(TIMEOUT) == 0
    assert w.proc.stderr.read() == ""


def test_what_cannot_be_followed(served, client):
    client.change("exec", sql="CREATE VIEW v AS SELECT 1 AS track_id")
    client.change("exec", sql="CREATE TABLE w(track_id TEXT PRIMARY KEY, n) WITHOUT ROWID")
    for table, why in (("v", "is a view"), ("w", "WITHOUT ROWID")):
        p = run("watch", served.db, "--table", table)
        assert p.returncode == 1 and why in p.stderr, p.stderr
    p = run("watch", served.db, "--columns", "nope", "--table", "w")
    assert p.returncode == 1


def test_odd_names_and_values(served, client, watch):
    table = "we\"ird 'täble' 🐍"
    client.store({"n": 0, "select": 1, "größe 🐍": float("inf"), "blob": b"\0\xff", "nan": float("nan")}, table=table)
    w = watch(served.db, "--table", table)
    row = json.loads(w.first[0])
    assert row["select"] == 1 and row["größe__"] == float("inf") and row["blob"] == "00ff" and row["nan"] is None
    client.store({"n": 1, "huge": "y" * 1_000_000}, table=table)
    assert len(json.loads(w.line())["huge"]) == 1_000_000
    w.end()


def test_a_file_that_is_only_read_and_has_no_tables_of_ours(daemon, db, watch):
    with sqlite3.connect(db) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n)")
        other.execute("INSERT INTO events VALUES ('x', '2024', 1)")
    daemon(db, "--read-only")
    w = watch(db)
    with other:
        other.execute("INSERT INTO events VALUES ('x', '2024', 2)")
    assert w.rows(1) == [2]
    other.close()
    w.end()
