"""A worker that does what libxetrack does: it keeps what is not acknowledged, and sends it again to the next daemon."""
from conftest import Closed, RpcError, sqlite

# One of everything that is stored, each change committed alone: new tables and columns, columns that are widened, a
# value that needs pages of its own, a row that is refused, a column set back in time, a run that goes again. The
# client leaves in between, so that the log is put back into the database.
WORKLOAD = (
    (
        ("run_start", {"track_id": "r", "params": {"lr": 0.1}}),
        ("log", {"track_id": "r", "rows": [{"i": 1, "a": 1}, {"i": 2, "a": 2}, {"i": 3, "a": 3.5}]}),
        ("log", {"track_id": "r", "rows": [{"i": 4, "a": "wider", "nested": [1, 2, 3] * 50}]}),
        ("log", {"track_id": "r", "rows": [{"i": 5, "bad": 1 << 63}, {"i": 6, "big": bytes(60000)}]}),
        ("query", {"sql": "SELECT count(*), max(nested) FROM events"}),
        ("tables", {}),
        ("columns", {}),
        ("set", {"track_id": "r", "key": "note", "value": "set"}),
        ("exec", {"sql": "CREATE INDEX events_i ON events(i)"}),
        ("run_start", {"track_id": "gone", "table": "other"}),
        ("log", {"track_id": "gone", "table": "other", "rows": [{"i": 1}, {"i": 2}]}),
        ("delete_run", {"track_id": "gone", "force": True}),
        ("run_finish", {"track_id": "r", "status": "finished"}),
        ("config", {"key": "wal_warn_mib", "value": 512}),
    ),
    (
        ("run_join", {"track_id": "late"}),
        ("log", {"track_id": "late", "rows": [{"i": 7, "a": 7}]}),
        ("compact", {}),
    ),
)
UNNUMBERED = ("query", "tables", "columns", "compact")

# What the database holds in the end, but for times and ids, which differ from run to run.
STATE = (
    "SELECT track_id, i, a, typeof(a), nested, length(big), note FROM events ORDER BY i",
    "SELECT track_id, i FROM other ORDER BY i",
    "SELECT track_id, status, table_name, params, rows, rejects FROM xt_runs ORDER BY track_id",
    "SELECT table_name, name, key, type FROM xt_columns ORDER BY table_name, name",
    "SELECT stored, rejected, run, run_rows, run_rejects FROM xt_clients ORDER BY stored",
    "SELECT count(*) FROM xt_outbox",
    "SELECT * FROM xt_config",
    "SELECT track_id FROM xt_workers ORDER BY track_id",
    "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name",
    "PRAGMA integrity_check",
)


def state(db):
    return [sqlite(db, sql) for sql in STATE]


class Step:
    """Something to be done. A change has numbers, drawn when it is first sent."""

    def __init__(self, method, params):
        self.method = method
        self.params = params
        self.seq = None     # of its first row
        self.last = None    # of its last
        self.answer = None  # None: not done yet

    def number(self, after):
        self.seq = after + 1
        self.last = after + len(self.params.get("rows", [None]))
        return self.last


class Worker:
    def __init__(self, steps):
        self.steps = [Step(*s) for s in steps]
        self.id = None
        self.seq = 0    # the last number drawn
        self.acked = 0  # the highest that was acknowledged
        self.rejected = set()

    @property
    def answers(self):
        return [s.answer for s in self.steps]

    def work(self, daemon):
        """Does, by a connection of its own, what is not done yet. Closed when the daemon leaves meanwhile."""
        with daemon.client(client_id=self.id, hello=False) as c:
            self.id = c.id
            try:
                c.hello(last_seq=self.seq, acked=self.acked)
                assert c.mark >= self.acked, "what was acknowledged is lost"
                for step in self.steps:
                    while step.answer is None:
                        self.ask(c, step) if step.method in UNNUMBERED else self.change(c, step)
                c.notify("bye", last_seq=self.seq)
                c.flush()
                assert not c.responses, "something was answered twice"
            except RpcError as e:
                if e.code == "stopping":
                    raise Closed() from e
                raise
            finally:
                self.acked = max(self.acked, c.acked)
                rejected = [p["seq"] for p in c.named("reject")]
                assert len(set(rejected)) == len(rejected), "a reject was told twice"
                self.rejected.update(rejected)

    def change(self, c, step):
        if step.seq is None:
            self.seq = step.number(self.seq)
        try:
            step.answer = c.call(step.method, seq=step.seq, **step.params)
        except RpcError as e:
            if step.method != "exec" or e.code not in ("disk_full", "sql_error", "busy"):
                raise
            step.seq = None  # a user's statement may fail, and is then sent as another
        self.acked = max(self.acked, step.last)

    def ask(self, c, step):
        """What has no number is asked again when it fails."""
        try:
            answer = c.call(step.method, **step.params)
            step.answer = {} if step.method == "compact" else answer  # the sizes differ from run to run
        except RpcError as e:
            if e.code not in ("io_error", "disk_full", "sql_error", "busy"):
                raise
