"""What SQL of a user may not do, through `query` and through `exec`: refused or harmless, and afterwards the
internal tables, the files beside the database and the daemon are what they were."""
import os
import sqlite3

import pytest
from conftest import RpcError, fails, sqlite
from test_abuse import LOOSE, bounded, hostile, rss
from test_sql import ENDLESS

N = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

# Never allowed, in any dress. OUT is replaced by a path in the database's directory.
REFUSED = [
    # other files
    "ATTACH 'OUT' AS x", "ATTACH DATABASE ':memory:' AS x", "attach/**/'OUT'as x", "ATTACH 'file:OUT?mode=rwc' AS x",
    "DETACH main", "DETACH db", "VACUUM", "VACUUM INTO 'OUT'", "vacuum main INTO 'OUT'", "\ufeffVACUUM INTO 'OUT'",
    "/* a */ -- b\n ; VACUUM INTO 'OUT'", "SELECT load_extension('OUT')", "SELECT LOAD_EXTENSION('OUT', 'x')",
    "SELECT \"load_extension\"('OUT')", "SELECT readfile('/etc/passwd')", "SELECT writefile('OUT', 'x')",
    "SELECT edit('x', 'sh')", "SELECT * FROM fsdir('/')", "SELECT * FROM zipfile('OUT')", "SELECT * FROM sqlite_dbpage",
    "CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')", "CREATE VIRTUAL TABLE v USING dbstat",
    "CREATE VIRTUAL TABLE v USING fts4aux(main, x)", "CREATE VIRTUAL TABLE v USING fts3tokenize('simple')",
    "CREATE VIRTUAL TABLE v USING sqlite_stmt", "CREATE VIRTUAL TABLE v USING pragma_table_info",
    # pointers
    "SELECT fts3_tokenizer('simple')", "SELECT fts3_tokenizer('x', zeroblob(8))", "SELECT sqlite_log(1, 'x')",
    # transactions
    "BEGIN", "BEGIN EXCLUSIVE", "COMMIT", "END", "ROLLBACK", "SAVEPOINT op", "RELEASE op", "ROLLBACK TO op",
    # objects of the connection
    "CREATE TEMP TABLE t (a)", "CREATE TABLE temp.events (a)", "CREATE TEMP VIEW events AS SELECT 1",
    "CREATE TEMP TRIGGER t AFTER INSERT ON events BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE temp.events USING fts5(a)",
    "CREATE VIRTUAL TABLE temp.v USING rtree(a, b, c)", "DROP TABLE temp.events", "INSERT INTO sqlite_temp_schema VALUES (1)",
    # pragmas
    *(f"PRAGMA {p}" for p in (
        "writable_schema = 1", "main.writable_schema = ON", "WRITABLE_SCHEMA=RESET", "journal_mode = OFF", "db.journal_mode(delete)",
        "journal_mode = MEMORY", "synchronous = 0", "locking_mode = EXCLUSIVE", "query_only = 0", "trusted_schema = 1",
        "recursive_triggers = 1", "ignore_check_constraints = 1", "foreign_keys = 1", "cell_size_check = 1", "mmap_size = 1000000000",
        "cache_size = -1000000000", "temp_store = MEMORY", "temp_store_directory = '/'", "hard_heap_limit = 1", "soft_heap_limit = 1",
        "threads = 8", "page_size = 512", "auto_vacuum = 1", "incremental_vacuum", "max_page_count = 1", "user_version = 7",
        "schema_version = 7", "application_id = 7", "encoding = 'UTF-16'", "secure_delete = 1", "wal_checkpoint", "wal_autocheckpoint = 1",
        "journal_size_limit = 0", "optimize", "shrink_memory", "busy_timeout = 0", "legacy_alter_table = 1", "case_sensitive_like = 1",
        "reverse_unordered_selects = 1", "defer_foreign_keys = 1", "analysis_limit = 1", "automatic_index = 0", "read_uncommitted = 1",
        "'journal_mode' = DELETE", "\"user_version\" = 7", "[schema_version](7)", "count_changes = 1", "empty_result_callbacks = 1",
        "data_store_directory = '/'", "lock_status", "vdbe_debug = 1", "key = 'x'", "cache_spill = 0", "default_cache_size = 1")
      if p not in ("lock_status", "vdbe_debug = 1", "key = 'x'", "data_store_directory = '/'")),
    # more than one statement
    "SELECT 1; DELETE FROM xt_runs", "SELECT 1;;PRAGMA user_version = 7", "SELECT 1; --\nSELECT 2",
]

# Internal tables: refused by exec, and by query as anything that writes.
INTERNAL = [
    "DELETE FROM xt_runs", "DELETE FROM main.xt_runs", "DELETE FROM db.xt_runs", "DELETE FROM \"XT_RUNS\"", "DELETE FROM [Xt_Runs]",
    "DELETE FROM `xt_clients`", "delete/**/from/**/xt_outbox", "UPDATE xt_clients SET mark = 0", "UPDATE OR REPLACE xt_meta SET value = 0",
    "INSERT INTO xt_meta VALUES ('a', 1)", "REPLACE INTO xt_config VALUES ('a', 1)", "INSERT INTO xt_meta SELECT 'a', 1",
    "WITH x AS (SELECT 1) DELETE FROM xt_runs", "INSERT INTO xt_meta VALUES ('version', 1) ON CONFLICT DO UPDATE SET value = 99",
    "DELETE FROM xt_runs RETURNING *", "UPDATE xt_runs SET rows = 0 FROM events RETURNING track_id", "DROP TABLE xt_outbox",
    "DROP TABLE IF EXISTS main.xt_meta", "DROP INDEX xt_runs_client", "ALTER TABLE xt_runs ADD COLUMN z", "ALTER TABLE xt_runs DROP COLUMN rows",
    "ALTER TABLE xt_runs RENAME TO mine", "ALTER TABLE xt_runs RENAME COLUMN rows TO r", "ALTER TABLE events RENAME TO xt_events",
    "ALTER TABLE events RENAME TO 'XT_events'", "CREATE TABLE xt_mine (a)", "CREATE TABLE IF NOT EXISTS xt_runs (a)",
    "CREATE TABLE xt_copy AS SELECT * FROM xt_runs", "CREATE VIEW xt_view AS SELECT 1", "CREATE INDEX i ON xt_runs(rows)",
    "CREATE INDEX xt_i ON events(a)", "CREATE UNIQUE INDEX i ON xt_clients(uid)", "CREATE TRIGGER t AFTER INSERT ON xt_runs BEGIN SELECT 1; END",
    "CREATE TRIGGER xt_t AFTER INSERT ON events BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE xt_v USING fts5(a)",
    "CREATE VIRTUAL TABLE xt USING fts5(a)", "CREATE VIRTUAL TABLE xt USING fts4(a)", "CREATE VIRTUAL TABLE xt USING rtree(a, b, c)",
    "ANALYZE xt_runs", "REINDEX xt_runs", "REINDEX xt_runs_client", "EXPLAIN DELETE FROM xt_runs", "EXPLAIN QUERY PLAN DELETE FROM xt_runs",
    "UPDATE sqlite_schema SET sql = ''", "DELETE FROM sqlite_master", "INSERT INTO sqlite_schema VALUES ('table', 'a', 'a', 0, 'CREATE TABLE a (b)')",
    "UPDATE main.sqlite_master SET rootpage = 2 WHERE name = 'events'", "DROP TABLE sqlite_schema", "CREATE TABLE sqlite_x (a)",
    "CREATE TABLE g (a, b AS (load_extension(a)))", "CREATE TABLE c (a CHECK (fts3_tokenizer(a)))",
]

# Allowed: what they leave must be harmless. Each is a story of statements.
STORIES = {
    "trigger": ["CREATE TRIGGER z AFTER INSERT ON events BEGIN DELETE FROM xt_runs; END", "INSERT INTO events (a) VALUES (1)"],
    "view": ["CREATE VIEW v AS SELECT * FROM xt_runs", "DELETE FROM v"],
    "instead": ["CREATE VIEW v AS SELECT track_id FROM xt_runs",
                "CREATE TRIGGER z INSTEAD OF DELETE ON v BEGIN DELETE FROM xt_runs; END", "DELETE FROM v"],
    "trigger of a trigger": ["CREATE TABLE p (a)", "CREATE TRIGGER z AFTER INSERT ON p BEGIN UPDATE xt_meta SET value = 0; END",
                             "CREATE TRIGGER y AFTER INSERT ON events BEGIN INSERT INTO p VALUES (1); END",
                             "INSERT INTO events (a) VALUES (1)"],
    "recursive": ["CREATE TABLE p (a)", "CREATE TRIGGER z AFTER INSERT ON p BEGIN INSERT INTO p VALUES (new.a + 1); END",
                  "INSERT INTO p VALUES (1)", "DROP TRIGGER z"],
    "generated": ["CREATE TABLE g (a, b AS (hex(zeroblob(a))), c AS (randomblob(a)))", "INSERT INTO g VALUES (900000000)",
                  "SELECT length(b) FROM g"],
    "check": ["CREATE TABLE g (a CHECK (length(hex(zeroblob(900000000))) > 0))", "INSERT INTO g VALUES (1)"],
    "default": ["CREATE TABLE g (a, b DEFAULT (load_extension('/tmp/x')))", "INSERT INTO g (a) VALUES (1)"],
    "fts5": ["CREATE VIRTUAL TABLE f USING fts5(a, content='xt_runs', content_rowid='rowid')", "INSERT INTO f(f) VALUES ('delete-all')",
             "INSERT INTO f(f) VALUES ('rebuild')", "DROP TABLE f"],
    "fts4": ["CREATE VIRTUAL TABLE f USING fts4(content='xt_runs', status)", "INSERT INTO f(f) VALUES ('rebuild')", "DELETE FROM f",
             "UPDATE f_segdir SET root = x'ff'", "DROP TABLE f"],
    "shadow": ["CREATE VIRTUAL TABLE r USING rtree(a, b, c)", "UPDATE r_node SET data = x'ffff'", "DELETE FROM r_node",
               "SELECT rtreecheck('r')", "DROP TABLE r"],
    "foreign keys": ["CREATE TABLE k (a REFERENCES xt_runs(track_id) ON DELETE CASCADE)", "INSERT INTO k SELECT track_id FROM xt_runs",
                     "DELETE FROM k"],
    "rename": ["CREATE TABLE mine (a)", "ALTER TABLE mine RENAME TO yours", "ALTER TABLE yours RENAME TO Xt_ours"],
    "reindex": ["REINDEX", "ANALYZE", "DROP TABLE IF EXISTS sqlite_stat1"],
    "rollback": ["CREATE TABLE u (a UNIQUE)", "INSERT INTO u VALUES (1)", "INSERT OR ROLLBACK INTO u VALUES (1)",
                 "CREATE TRIGGER z AFTER DELETE ON u BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "DELETE FROM u"],
}


class State:
    """What must not change: content of internal tables, their declarations, files, pragmas, the daemon."""

    def __init__(self, served, client):
        self.served, self.client = served, client
        client.change("run_start", track_id="r")
        client.store({"a": 1}, track_id="r")
        client.notify("confirm", seq=client.seq)
        client.flush()
        self.out = os.path.join(os.path.dirname(served.db), "out.db")
        self.before = self.look()

    def look(self):
        con = sqlite3.connect(f"file:{self.served.db}?mode=ro", uri=True)
        try:
            tables = {t: con.execute(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in ("xt_meta", "xt_config", "xt_columns")}
            tables["xt_runs"] = con.execute("SELECT track_id, status, table_name, uid FROM xt_runs WHERE track_id = 'r'").fetchall()
            schema = con.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE lower(substr(name, 1, 3)) = 'xt_' "
                                 "OR lower(substr(tbl_name, 1, 3)) = 'xt_' ORDER BY name").fetchall()
            pragmas = [con.execute(f"PRAGMA {p}").fetchall() for p in ("journal_mode", "user_version", "application_id", "page_size")]
        finally:
            con.close()
        marks = sqlite(self.served.db, "SELECT count(*) FROM xt_clients WHERE mark > 0")
        files = sorted(set(os.listdir(os.path.dirname(self.served.db))) - {"b.db.reserve"})  # comes and goes by itself
        return tables, schema, pragmas, marks, files

    def check(self):
        c = self.client
        assert self.look() == self.before
        assert c.store({"a": 2}, track_id="r") == (1, 0)
        assert c.value("SELECT count(*) > 1 FROM events") == 1
        status = c.call("status")
        assert status["state"] == "ok" and status["cursors"] == 0
        assert self.served.proc.poll() is None


@pytest.fixture
def state(served, client):
    return State(served, client)


def attempt(client, method, sql, **kw):
    """The code of the error, or None."""
    try:
        if method == "query":
            client.call("query", sql=sql, timeout_ms=5000, **kw)
        else:
            client.change("exec", sql=sql, timeout_ms=5000, **kw)
    except RpcError as e:
        assert e.message
        return e.code
    return None


@pytest.mark.parametrize("method", ["query", "exec"])
def test_refused(state, client, method):
    for sql in REFUSED:
        code = attempt(client, method, sql.replace("OUT", state.out))
        assert code in ("sql_denied", "sql_writes", "sql_error", "no_such_table"), (sql, code)
        assert not os.path.exists(state.out), sql
        assert state.look() == state.before, sql
    state.check()


@pytest.mark.parametrize("method", ["query", "exec"])
def test_internal_tables(state, client, method):
    for sql in INTERNAL:
        code = attempt(client, method, sql)
        assert code in ("sql_denied", "sql_writes", "sql_error"), (sql, code)
        assert state.look() == state.before, sql
    state.check()


@pytest.mark.parametrize("name", STORIES)
def test_harmless(state, client, served, name):
    for sql in STORIES[name]:
        attempt(client, "exec", sql)
        attempt(client, "query", sql)
        assert state.look()[:4] == state.before[:4], sql
    for (trigger,) in sqlite(served.db, "SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
        assert attempt(client, "exec", f"DROP TRIGGER {trigger}") is None
    state.check()


def test_every_pragma_function_only_tells(state, client):
    """pragma_<name> with and without arguments, for every pragma that this SQLite has."""
    for (name,) in client.rows("SELECT name FROM pragma_pragma_list"):
        for sql in (f"SELECT * FROM pragma_{name}", f"SELECT * FROM pragma_{name}(7)", f"SELECT * FROM pragma_{name}('main', 7)"):
            for method in ("query", "exec"):
                attempt(client, method, sql)
        assert state.look() == state.before, name
    state.check()


def test_every_function_is_survived(state, client):
    """All functions of this SQLite with arguments that they do not expect."""
    functions = client.rows("SELECT DISTINCT name, narg FROM pragma_function_list")
    assert len(functions) > 100
    for name, n in functions:
        for value in ("NULL", "-9223372036854775808", "x'00ff'", "'é%'", "zeroblob(100)"):
            args = ", ".join([value] * (n if n >= 0 else 3))
            attempt(client, "query", f'SELECT "{name}"({args})')
            attempt(client, "query", f'SELECT "{name}"({args}) OVER () FROM events')
    state.check()


def test_temporary_objects_do_not_shadow_tables(state, client):
    """With a temp.events on the writer's connection everybody's rows would be rejected."""
    for module in ("dbstat", "fts3tokenize", "fts5(track_id, timestamp, a)", "rtree(a, b, c)"):
        assert attempt(client, "exec", f"CREATE VIRTUAL TABLE temp.events USING {module}") == "sql_denied"
    client.store({"a": 77}, track_id="r")
    assert sqlite(state.served.db, "SELECT count(*) FROM events WHERE a = 77") == [(1,)]


@pytest.mark.parametrize("call", ["instr('xaébé', 'é')", "instr('abc', '')", "instr('', '')", "instr(x'61c3a9', x'a9')", "instr('é', x'a9')",
                                  "instr(12345, 34)", "instr(NULL, 1)", "instr('abc', 'd')", "instr('ab', 'abc')", "instr(x'', x'')",
                                  "replace('aXbXc', 'X', 'yy')", "replace('aaa', 'aa', 'b')", "replace('abc', '', 'x')",
                                  "replace(NULL, 'a', 'b')", "replace('abc', NULL, 'b')", "replace('abc', 'a', NULL)", "replace(121, 1, '')",
                                  "replace('é', 'é', 'ü')", "replace('abab', 'ab', '')", "typeof(replace(5, '', 1))", "trim('  a  ')",
                                  "ltrim('xxaxx', 'x')", "rtrim('xxaxx', 'x')", "trim('éaé', 'é')", "trim('abc', '')", "trim('xyzabczyx', 'zxy')",
                                  "trim(NULL)", "trim('a', NULL)", "rtrim('aéü', 'üé')", "trim(x'2061', ' ')", "trim('')", "trim('aaa', 'a')"])
def test_functions_of_our_own_answer_as_sqlites(client, call):
    assert client.rows(f"SELECT {call}") == [[sqlite(":memory:", f"SELECT {call}")[0][0]]]


LARGE = {
    "blobs": "SELECT length(hex(zeroblob(15000000)) || hex(zeroblob(15000000)))",
    "printf": "SELECT " + ", ".join("printf('%.*c', 30000000, 'x')" for _ in range(9)),
    "group_concat": N + "SELECT length(group_concat(hex(zeroblob(1000000)))) FROM n",
    "json": N + "SELECT length(json_group_object(i, i)) FROM n",
    "json_each": "SELECT count(*) FROM json_tree('[' || replace(hex(zeroblob(4000000)), '00', '1,') || '1]')",
    "replace": "SELECT length(replace(hex(zeroblob(8000000)), '0', 'xxxxxxxxxxxxxxxx'))",
    "instr": "SELECT instr(hex(zeroblob(10000000)), hex(zeroblob(5000000)) || '1')",
    "trim": "SELECT length(trim(hex(zeroblob(10000000)), hex(randomblob(1000000))))",
    "like": "SELECT hex(zeroblob(1000000)) LIKE '%" + "0%" * 400 + "1'",
    "pattern": "SELECT 'x' LIKE '" + "%" * 50000 + "'",
    "distinct": N + "SELECT count(DISTINCT i) FROM n",
    "queue": "WITH RECURSIVE n(i, b) AS (SELECT 1, randomblob(1000) UNION ALL SELECT i + 1, randomblob(1000) FROM n, "
             "(SELECT 1 UNION ALL SELECT 2)) SELECT count(*) FROM n",
    "sort": "SELECT count(*) FROM (" + N + "SELECT randomblob(1000000) r FROM n ORDER BY r LIMIT 300)",
    "window": N + "SELECT sum(s) FROM (SELECT length(group_concat(i) OVER (ORDER BY i)) s FROM n)",
    "compound": " UNION ALL ".join(["SELECT 1"] * 32000),
    "in": "SELECT 1 IN (" + ",".join(map(str, range(120000))) + ")",
    "or": "SELECT 1 WHERE " + " OR ".join(f"{i} = 2" for i in range(50000)),
    "not": "SELECT " + "NOT " * 100000 + "1",
    "columns": "SELECT " + ", ".join(["1"] * 2001),
    "joins": "SELECT count(*) FROM " + ", ".join(["sqlite_schema"] * 64),
    "chain": "WITH a0 AS (SELECT 1)" + "".join(f", a{i} AS (SELECT * FROM a{i - 1})" for i in range(1, 5000)) + " SELECT * FROM a4999",
    "fan": "WITH a0 AS (SELECT 1 x)" + "".join(f", a{i} AS (SELECT * FROM a{i - 1} UNION ALL SELECT * FROM a{i - 1})" for i in range(1, 60)) +
           " SELECT count(*) FROM a59",
    "cross": "WITH a0 AS (SELECT 1 x)" + "".join(f", a{i} AS (SELECT a.x FROM a{i - 1} a, a{i - 1} b)" for i in range(1, 40)) +
             " SELECT count(*) FROM a39",
    "deep json": "SELECT json_extract(replace(hex(zeroblob(5000000)), '00', '['), '$')",
    "variables": "SELECT ?200000",
}


def asks(say, path, sql):
    from conftest import Client
    clients = [Client(path) for _ in range(4)]
    ids = [c.request("query", sql=sql, timeout_ms=1000) for c in clients]
    for c, msgid in zip(clients, ids):
        try:
            c.response(msgid)
        except RpcError as e:
            say(e.code)
        else:
            say("ok")
    return clients


@pytest.mark.parametrize("name", LARGE)
def test_memory_of_hostile_sql(served, name):
    """Four of a kind at once, from another process; a client beside them logs and queries."""
    before = rss(served.pid)
    with served.client() as c, hostile(asks, served.socket, LARGE[name]) as said:
        peak = 0
        for i in range(4):
            for k in range(20):
                c.log({"i": k})
                c.until_ack(c.seq)
                assert c.value("SELECT 1") == 1
                peak = max(peak, rss(served.pid))
            assert said() in ("ok", "too_large", "timed_out", "sql_error", "out_of_range", "no_such_column", "missing_field")
        assert LOOSE or peak < before + 300
        bounded(served, before + 300)


@pytest.mark.parametrize("sql", ["CREATE TABLE x AS " + N.replace("FROM n)", "FROM n LIMIT 100)") +
                                 "SELECT group_concat(hex(zeroblob(1000000))) FROM n",
                                 "CREATE TABLE x AS SELECT " + ", ".join("hex(zeroblob(15000000))" for _ in range(5))])
def test_memory_of_exec(client, served, sql):
    """It is the writer's connection: the statement fails, the batch goes on."""
    before = rss(served.pid)
    fails("too_large", client.change, "exec", sql=sql)
    assert client.store({"a": 1}) == (1, 0)
    bounded(served, before + 120)
    assert client.value("SELECT count(*) FROM sqlite_schema WHERE name = 'x'") == 0


def test_a_trigger_makes_no_values_without_end(client, served):
    """Triggers of users run in the writer's own statements."""
    client.store({"a": 1})
    client.change("exec", sql="CREATE TRIGGER z AFTER INSERT ON events BEGIN SELECT length(hex(zeroblob(450000000))); END")
    assert client.store({"a": 2}) == (0, 1)
    client.change("exec", sql="DROP TRIGGER z")
    assert client.store({"a": 3}) == (1, 0)


def test_views_upon_views(client):
    """Each is one statement; together they are a deep one."""
    client.change("exec", sql="CREATE VIEW v0 AS SELECT 1 AS x")
    for i in range(1, 1000):
        client.change("exec", sql=f"CREATE VIEW v{i} AS SELECT x FROM v{i - 1}")
    attempt(client, "query", "SELECT * FROM v999")
    attempt(client, "exec", "CREATE TABLE t AS SELECT * FROM v999")
    assert client.store({"a": 1}) == (1, 0)
