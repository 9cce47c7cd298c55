-- How runs ended. A cell counts runs of one minute that ended alike: which way (the place in statistics.ENDS), after how
-- long (the bucket; -1 where that is not counted), having waited how long. It is written in the transaction of the ending.
-- Cells are only added, a few rows per turn: a row that all workers had to change would make their turns wait for one
-- another, and while somebody holds an old snapshot open its dead versions would make each turn slower than the last.
-- There is no index for the same reason: upkeep takes out what is over once a minute, so there is never much to read.
CREATE TABLE @cells (
    minute integer NOT NULL,             -- since the epoch
    queue  text COLLATE "C" NOT NULL,
    task   text COLLATE "C" NOT NULL,
    ending smallint NOT NULL,
    run    smallint NOT NULL,
    wait   smallint NOT NULL,
    runs   integer NOT NULL,
    busy   double precision NOT NULL     -- seconds, of all of them together
);

-- What is made of them when their minute is over: one row per task, of a minute or, later, of an hour.
CREATE TABLE @statistics (
    length integer NOT NULL,             -- in minutes
    minute integer NOT NULL,             -- the first one
    queue  text COLLATE "C" NOT NULL,
    task   text COLLATE "C" NOT NULL,
    totals text NOT NULL,                -- statistics.Sum, packed
    PRIMARY KEY (length, minute, queue, task)
);

-- statistics.bucket(): the bounds are those of statistics.BOUNDS.
CREATE FUNCTION @bucket(seconds double precision) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT width_bucket(coalesce(seconds, 0), ARRAY[
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000,
        20000, 50000]::double precision[])::smallint
$$;

-- As before, and counts each run that it ends. `done` are plain successes, `other` all the rest, each with its place among
-- them; answers the places whose lease still held, and the state the job went to.
CREATE OR REPLACE FUNCTION @settle(done text, other text, test_now double precision) RETURNS TABLE (place integer, reached smallint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_end record;
    v_job @jobs%ROWTYPE;
    v_target smallint;
    v_why bytea;
    v_minute integer := floor(v_now / 60);
BEGIN
    IF done IS NOT NULL THEN
        RETURN QUERY
        WITH ended AS (
            UPDATE @jobs AS job
               SET state = 4, result = @bytes(ending.result, ending.result64), finished_at = v_now, updated_at = v_now,
                   lease_until = NULL, failure = NULL, reason = NULL, message = NULL, version = job.version + 1
              FROM json_to_recordset(done::json) AS ending (
                   place integer, seq bigint, fence bigint, result text, result64 text)
             WHERE job.seq = ending.seq AND job.fence = ending.fence AND job.state + 0 IN (2, 3)
            RETURNING ending.place, job.queue, job.task, v_now - job.started_at AS took, job.started_at - job.run_at AS waited
        ), counted AS (
            INSERT INTO @cells (minute, queue, task, ending, run, wait, runs, busy)
            SELECT v_minute, ended.queue, ended.task, 0, @bucket(ended.took), @bucket(ended.waited), count(*),
                   sum(greatest(0, ended.took))
              FROM ended GROUP BY 2, 3, 5, 6
        )
        SELECT ended.place, 4::smallint FROM ended;
    END IF;
    IF other IS NULL THEN
        RETURN;
    END IF;
    FOR v_end IN
        SELECT * FROM json_to_recordset(other::json) AS ending (
            place integer, seq bigint, fence bigint, target smallint, if_cancelling smallint, outcome text,
            delay double precision, refund integer, errors integer, crashes integer, result text, result64 text,
            failure text, reason text, message text, progress text)
    LOOP
        SELECT * INTO v_job FROM @jobs AS job
         WHERE job.seq = v_end.seq AND job.fence = v_end.fence AND job.state + 0 IN (2, 3) FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_target := CASE WHEN v_job.state = 3 THEN v_end.if_cancelling ELSE v_end.target END;
        v_why := convert_to(v_end.failure, 'UTF8');
        IF v_end.outcome <> 'succeeded' THEN
            PERFORM @remember(v_job.seq, v_job.fence, v_job.attempt, v_job.worker, v_job.started_at, v_now,
                              v_end.outcome, v_why);
        END IF;
        UPDATE @jobs AS job SET
            state = v_target, attempt = job.attempt - v_end.refund, errors = job.errors + v_end.errors,
            crashes = job.crashes + v_end.crashes,
            run_at = CASE WHEN v_target < 2 THEN v_now + greatest(0, v_end.delay) ELSE job.run_at END,
            started_at = CASE WHEN v_end.refund > 0 AND job.attempt <= 1 THEN NULL ELSE job.started_at END,
            finished_at = CASE WHEN v_target > 3 THEN v_now END, updated_at = v_now, lease_until = NULL,
            worker = CASE WHEN v_target > 3 THEN job.worker END,
            progress = coalesce(convert_to(v_end.progress, 'UTF8'), job.progress),
            result = @bytes(v_end.result, v_end.result64),
            failure = CASE v_target WHEN 4 THEN NULL
                WHEN 6 THEN coalesce(v_why, @cancelled(job.cancel_reason)) ELSE coalesce(v_why, job.failure) END,
            reason = CASE v_target WHEN 4 THEN NULL
                WHEN 6 THEN coalesce(v_end.reason, 'cancelled') ELSE coalesce(v_end.reason, job.reason) END,
            message = CASE v_target WHEN 4 THEN NULL
                WHEN 6 THEN coalesce(v_end.message, nullif(job.cancel_reason, ''), 'cancelled')
                ELSE coalesce(v_end.message, job.message) END,
            version = job.version + 1
         WHERE job.seq = v_job.seq;
        INSERT INTO @cells (minute, queue, task, ending, run, wait, runs, busy)
        VALUES (v_minute, v_job.queue, v_job.task,
                CASE WHEN v_target > 3 THEN CASE v_target WHEN 4 THEN 0 WHEN 5 THEN 2 ELSE 3 END
                     ELSE CASE v_end.outcome WHEN 'lost' THEN 4 WHEN 'snoozed' THEN 5 WHEN 'released' THEN 5 ELSE 1 END END,
                CASE WHEN v_target = 4 THEN @bucket(v_now - v_job.started_at) ELSE -1 END,
                @bucket(v_job.started_at - v_job.run_at), 1, greatest(0, v_now - v_job.started_at));
        RETURN QUERY SELECT v_end.place, v_target;
    END LOOP;
END $$;
