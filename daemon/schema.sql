-- The internal tables, made when a database is first opened; run at every start. docs/storage.md describes them.
CREATE TABLE IF NOT EXISTS xt_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_config(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_clients(
  uid INTEGER NOT NULL, client BLOB NOT NULL,
  mark INTEGER NOT NULL, last_seq INTEGER,
  stored INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
  seen TEXT NOT NULL, bye INTEGER NOT NULL DEFAULT 0,
  run TEXT, run_rows INTEGER NOT NULL DEFAULT 0, run_rejects INTEGER NOT NULL DEFAULT 0,
  requests INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(uid, client)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_outbox(
  uid INTEGER NOT NULL, client BLOB NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
  answer BLOB NOT NULL,
  PRIMARY KEY(uid, client, seq, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_runs(
  track_id TEXT PRIMARY KEY, status TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT,
  table_name TEXT, params TEXT,
  rows INTEGER NOT NULL DEFAULT 0, rejects INTEGER NOT NULL DEFAULT 0,
  uid INTEGER, client BLOB, pid INTEGER, host TEXT,
  executable TEXT, command_line TEXT, directory TEXT,
  inserted INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0, cause TEXT);
CREATE INDEX IF NOT EXISTS xt_runs_client ON xt_runs(client);
CREATE TABLE IF NOT EXISTS xt_workers(
  track_id TEXT NOT NULL, uid INTEGER NOT NULL, client BLOB NOT NULL, pid INTEGER,
  status TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT, cause TEXT,
  PRIMARY KEY(track_id, uid, client)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS xt_workers_client ON xt_workers(client);
CREATE TABLE IF NOT EXISTS xt_calls(
  uid INTEGER NOT NULL, client BLOB NOT NULL, call INTEGER NOT NULL,
  track_id TEXT NOT NULL, table_name TEXT NOT NULL, time INTEGER NOT NULL, row BLOB, row_id INTEGER,
  key BLOB, token INTEGER, pid INTEGER,
  PRIMARY KEY(uid, client, call)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS xt_calls_run ON xt_calls(track_id);
CREATE TABLE IF NOT EXISTS xt_columns(
  table_name TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE,
  key TEXT NOT NULL, type TEXT,
  PRIMARY KEY(table_name, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_aliases(
  table_name TEXT NOT NULL COLLATE NOCASE, key TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
  created TEXT NOT NULL,
  PRIMARY KEY(table_name, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_frozen(
  table_name TEXT PRIMARY KEY COLLATE NOCASE, created TEXT NOT NULL, uid INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_required(
  table_name TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE, created TEXT NOT NULL,
  PRIMARY KEY(table_name, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_suspects(
  table_name TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE,
  old_name TEXT NOT NULL COLLATE NOCASE,
  similarity REAL NOT NULL, state TEXT NOT NULL, track_id TEXT NOT NULL, created TEXT NOT NULL,
  PRIMARY KEY(table_name, name, old_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS xt_assets(
  hash BLOB PRIMARY KEY, size INTEGER NOT NULL, stored_size INTEGER NOT NULL,
  codec TEXT NOT NULL, file INTEGER NOT NULL, created TEXT NOT NULL, uid INTEGER NOT NULL,
  data BLOB);
CREATE TABLE IF NOT EXISTS xt_asset_refs(
  hash BLOB NOT NULL, track_id TEXT NOT NULL, name TEXT NOT NULL, created TEXT NOT NULL,
  PRIMARY KEY(hash, track_id, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS xt_asset_refs_run ON xt_asset_refs(track_id);
CREATE TABLE IF NOT EXISTS xt_epochs(
  table_name TEXT NOT NULL COLLATE NOCASE, epoch INTEGER NOT NULL, top INTEGER NOT NULL,
  PRIMARY KEY(table_name, epoch)) WITHOUT ROWID;
-- After a crash: counts that were kept with their client until there were enough of them.
UPDATE xt_runs SET
  rows = rows + (SELECT sum(run_rows) FROM xt_clients WHERE run = track_id),
  rejects = rejects + (SELECT sum(run_rejects) FROM xt_clients WHERE run = track_id)
  WHERE track_id IN (SELECT run FROM xt_clients WHERE run IS NOT NULL);
UPDATE xt_clients SET run = NULL, run_rows = 0, run_rejects = 0 WHERE run IS NOT NULL;
