-- What runs have logged, some lines at a time as they came; see logged.py. Jobs that log nothing have nothing here.
CREATE TABLE @logs (
    job     bigint NOT NULL,             -- its seq
    place   bigint NOT NULL,             -- of the last line, among all that the job has logged
    base    bigint NOT NULL,             -- the place of the last line before this run
    fence   bigint NOT NULL,
    began   double precision NOT NULL,   -- the moment the attempt did; lines tell seconds since then
    run     integer NOT NULL,            -- of those that logged anything, the how manieth
    last    integer NOT NULL,            -- the number of the last line within the run, and of the first that counts
    first   integer NOT NULL,
    attempt integer NOT NULL,
    lines   text NOT NULL,
    PRIMARY KEY (job, place)
);

-- Keeps lines of leases that hold, and locks their jobs until the transaction ends. Gives back `test_now`, so that what is
-- asked in the same statement can be made to wait for it.
CREATE FUNCTION @keep_lines(said text, test_now double precision) RETURNS double precision
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_said record;
    v_newest @logs%ROWTYPE;
    v_first integer;
    v_place bigint;
    v_base bigint;
    v_run integer;
BEGIN
    FOR v_said IN
        SELECT job.seq, job.fence, job.attempt, coalesce(job.started_at, v_now) AS began, each.first, each.last, each.lines
          FROM json_to_recordset(said::json) AS each (seq bigint, fence bigint, first integer, last integer, lines text)
          JOIN @jobs AS job ON job.seq = each.seq AND job.fence = each.fence AND job.state + 0 IN (2, 3)
         ORDER BY job.seq FOR UPDATE OF job
    LOOP
        SELECT * INTO v_newest FROM @logs AS newest WHERE newest.job = v_said.seq ORDER BY newest.place DESC LIMIT 1;
        IF NOT FOUND THEN
            v_first := v_said.first;
            v_run := 1;
            v_base := 0;
            v_place := 0;
        ELSIF v_newest.fence <> v_said.fence THEN
            v_first := v_said.first;
            v_run := v_newest.run + 1;
            v_base := v_newest.place;
            v_place := v_newest.place;
            DELETE FROM @logs AS old WHERE old.job = v_said.seq AND old.run <= v_run - 50;
        ELSE
            v_first := greatest(v_said.first, v_newest.last + 1);
            v_run := v_newest.run;
            v_base := v_newest.base;
            v_place := v_newest.place;
            CONTINUE WHEN v_first > v_said.last;
        END IF;
        v_place := v_place + v_said.last - v_first + 1;
        INSERT INTO @logs (job, place, base, fence, began, run, last, first, attempt, lines)
        VALUES (v_said.seq, v_place, v_base, v_said.fence, v_said.began, v_run, v_said.last, v_first, v_said.attempt,
                v_said.lines);
        DELETE FROM @logs AS old WHERE old.job = v_said.seq AND old.place > v_base AND old.place <= v_place - 200;
    END LOOP;
    RETURN test_now;
END $$;
