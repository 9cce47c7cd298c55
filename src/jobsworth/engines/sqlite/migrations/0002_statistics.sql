-- How runs ended. A cell counts runs of one minute that ended alike: which way (the place in statistics.ENDS), after how
-- long (the bucket; -1 where that is not counted), having waited how long. It is written in the transaction of the ending.
CREATE TABLE jobsworth_cells (
    minute INTEGER NOT NULL,         -- since the epoch
    queue  TEXT NOT NULL,
    task   TEXT NOT NULL,
    ending INTEGER NOT NULL,
    run    INTEGER NOT NULL,
    wait   INTEGER NOT NULL,
    runs   INTEGER NOT NULL,
    busy   REAL NOT NULL,            -- seconds, of all of them together
    PRIMARY KEY (minute, queue, task, ending, run, wait)
) WITHOUT ROWID, STRICT;

-- What is made of them when their minute is over: one row per task, of a minute or, later, of an hour.
CREATE TABLE jobsworth_statistics (
    length INTEGER NOT NULL,         -- in minutes
    minute INTEGER NOT NULL,         -- the first one
    queue  TEXT NOT NULL,
    task   TEXT NOT NULL,
    totals BLOB NOT NULL,            -- statistics.Sum, packed
    PRIMARY KEY (length, minute, queue, task)
) WITHOUT ROWID, STRICT;
