-- From layout 1 to 2: what the audit counts. Layout 1 did not count requests, nor rows that were deleted.
ALTER TABLE xt_clients ADD COLUMN requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE xt_runs ADD COLUMN inserted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE xt_runs ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE xt_runs ADD COLUMN cause TEXT;
UPDATE xt_clients SET requests = mark - stored - rejected;
UPDATE xt_runs SET
  deleted = rows + coalesce((SELECT sum(run_rows) FROM xt_clients WHERE run = track_id), 0)
  WHERE status = 'deleted';
