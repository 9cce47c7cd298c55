-- What runs have logged, some lines at a time as they came; see logged.py. Jobs that log nothing have nothing here.
CREATE TABLE jobsworth_logs (
    job     INTEGER NOT NULL,        -- its seq
    place   INTEGER NOT NULL,        -- of the last line, among all that the job has logged
    run     INTEGER NOT NULL,        -- of those that logged anything, the how manieth
    base    INTEGER NOT NULL,        -- the place of the last line before that run
    fence   INTEGER NOT NULL,
    last    INTEGER NOT NULL,        -- the number of the last line within the run, and of the first that counts
    first   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    began   REAL NOT NULL,           -- the moment the attempt did; lines tell seconds since then
    lines   TEXT NOT NULL,
    PRIMARY KEY (job, place)
) WITHOUT ROWID, STRICT;
