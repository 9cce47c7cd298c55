-- States: 0 scheduled, 1 queued, 2 running, 3 cancelling, 4 completed, 5 failed, 6 cancelled.
-- Small integers and NULLs keep the hot row narrow; every index is partial, so a row pays only for the state it is in.
-- Their conditions are ranges on purpose: for `state IN (...)` of three or more SQLite builds a table for each row written,
-- which doubled the cost of every claim and ending.
-- STRICT: what is not of its column's type cannot get in, so claims need not look at every value.
CREATE TABLE jobsworth_jobs (
    seq           INTEGER PRIMARY KEY,
    state         INTEGER NOT NULL,
    -- It starts anywhere and only grows: a lease on a deleted job must not fit a later one that got its seq and id.
    fence         INTEGER NOT NULL DEFAULT (abs(random() / 4294967296)),
    attempt       INTEGER NOT NULL DEFAULT 0,
    errors        INTEGER NOT NULL DEFAULT 0,
    crashes       INTEGER NOT NULL DEFAULT 0,
    version       INTEGER NOT NULL DEFAULT 0,
    priority      INTEGER NOT NULL DEFAULT 0,
    max_attempts  INTEGER NOT NULL DEFAULT 1,
    lease_until   REAL,
    started_at    REAL,
    finished_at   REAL,
    updated_at    REAL,
    worker        TEXT,
    progress      TEXT,
    more          INTEGER,           -- 1: some of the columns from key to expires_at are set, so a claim must read them
    id            TEXT NOT NULL,
    queue         TEXT NOT NULL,
    task          TEXT NOT NULL,
    created_at    REAL NOT NULL,
    run_at        REAL,
    key           TEXT,
    owner         TEXT,
    label         TEXT,
    tags          TEXT,
    meta          BLOB,
    timeout       REAL,
    expires_at    REAL,
    cancel_asked  INTEGER,
    cancel_reason TEXT,
    cancel_grace  REAL,
    failure       TEXT,
    result        BLOB,
    args          BLOB               -- NULL: too large to be rewritten at every change, see jobsworth_payloads
) STRICT;
CREATE UNIQUE INDEX jobsworth_id ON jobsworth_jobs (id);
-- What may be claimed, in the order of claiming. Jobs that crashed once stand apart: they run one at a time.
CREATE INDEX jobsworth_ready ON jobsworth_jobs (queue, priority DESC, seq, task) WHERE state = 1 AND crashes = 0;
CREATE INDEX jobsworth_crashed ON jobsworth_jobs (queue, priority DESC, seq, task) WHERE state = 1 AND crashes > 0;
CREATE INDEX jobsworth_due ON jobsworth_jobs (run_at, queue) WHERE state = 0;
CREATE INDEX jobsworth_held ON jobsworth_jobs (lease_until) WHERE state > 1 AND state < 4;
CREATE UNIQUE INDEX jobsworth_key ON jobsworth_jobs (task, key) WHERE key IS NOT NULL AND state < 4;
CREATE INDEX jobsworth_finished ON jobsworth_jobs (state, queue, finished_at) WHERE state > 3;
CREATE INDEX jobsworth_owner ON jobsworth_jobs (owner) WHERE owner IS NOT NULL;

CREATE TABLE jobsworth_payloads (seq INTEGER PRIMARY KEY, args BLOB NOT NULL) STRICT;

-- Every attempt that did not end in plain success; the running and the successful one are read off the job itself.
CREATE TABLE jobsworth_attempts (
    job    INTEGER NOT NULL,
    fence  INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job, fence)
) WITHOUT ROWID, STRICT;

CREATE TABLE jobsworth_queues (name TEXT PRIMARY KEY, paused INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID, STRICT;

CREATE TABLE jobsworth_workers (
    id         TEXT PRIMARY KEY,
    card       BLOB NOT NULL,
    started_at REAL NOT NULL,
    beat_at    REAL NOT NULL,
    gone_at    REAL NOT NULL
) WITHOUT ROWID, STRICT;
