-- "@name" stands for a name in the schema that was chosen.
-- States: 0 scheduled, 1 queued, 2 running, 3 cancelling, 4 completed, 5 failed, 6 cancelled.
-- Moments are seconds since the epoch by the server's clock, as everywhere in Jobsworth.
-- Large arguments are not copied when a row changes: PostgreSQL keeps them apart and the row only points to them.
CREATE TABLE @jobs (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- It starts anywhere and only grows: a lease on a deleted job must not fit a later one of the same id.
    fence         bigint NOT NULL DEFAULT floor(random() * 2147483648)::bigint,
    lease_until   double precision,
    run_at        double precision,
    created_at    double precision NOT NULL,
    updated_at    double precision,
    started_at    double precision,
    finished_at   double precision,
    expires_at    double precision,
    timeout       double precision,
    cancel_grace  double precision,
    attempt       integer NOT NULL DEFAULT 0,
    errors        integer NOT NULL DEFAULT 0,
    crashes       integer NOT NULL DEFAULT 0,
    version       integer NOT NULL DEFAULT 0,
    priority      integer NOT NULL DEFAULT 0,
    max_attempts  integer NOT NULL DEFAULT 1,
    state         smallint NOT NULL,
    cancel_asked  boolean NOT NULL DEFAULT false,
    id            text COLLATE "C" NOT NULL,
    queue         text COLLATE "C" NOT NULL,
    task          text COLLATE "C" NOT NULL,
    worker        text,
    progress      bytea,
    args          bytea NOT NULL,
    result        bytea,
    key           text COLLATE "C",
    owner         text COLLATE "C",
    label         text,
    tags          text[],
    meta          bytea,
    cancel_reason text,
    failure       bytea,                 -- all of it, as JSON
    reason        text,                  -- of the failure, to be searched for
    message       text                   -- of the failure, to be searched for
) WITH (
    -- Every job is written three times, so there is always something to tidy up, and little of it at a time.
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05
);
-- Each index is partial: a row pays only for the state it is in.
CREATE UNIQUE INDEX jobs_id ON @jobs (id);
-- What may be claimed, in the order of claiming. Jobs that crashed once stand apart: they run one at a time.
-- (rank, seq) can be compared with one pair of values, so a claim can begin to look where the last one found something.
CREATE INDEX jobs_ready ON @jobs (queue, (-priority::bigint), seq) WHERE state = 1 AND crashes = 0;
CREATE INDEX jobs_crashed ON @jobs (queue, priority DESC, seq) WHERE state = 1 AND crashes > 0;
CREATE INDEX jobs_due ON @jobs (run_at, queue) WHERE state = 0;
CREATE INDEX jobs_held ON @jobs (lease_until) WHERE state IN (2, 3);
CREATE UNIQUE INDEX jobs_key ON @jobs (task, key) WHERE key IS NOT NULL AND state < 4;
CREATE INDEX jobs_finished ON @jobs (state, queue, finished_at) WHERE state > 3;
CREATE INDEX jobs_owner ON @jobs (owner) WHERE owner IS NOT NULL;

-- Every attempt that did not end in plain success; the running and the successful one are read off the job itself.
CREATE TABLE @attempts (
    job         bigint NOT NULL,
    fence       bigint NOT NULL,
    number      integer NOT NULL,
    worker      text,
    started_at  double precision,
    finished_at double precision,
    outcome     text NOT NULL,
    failure     bytea,
    PRIMARY KEY (job, fence)
);

CREATE TABLE @queues (name text COLLATE "C" PRIMARY KEY, paused boolean NOT NULL DEFAULT false);

CREATE TABLE @workers (
    id         text COLLATE "C" PRIMARY KEY,
    card       bytea NOT NULL,
    started_at double precision NOT NULL,
    beat_at    double precision NOT NULL,
    gone_at    double precision NOT NULL
) WITH (fillfactor = 50);

-- The verbs of the hot path are functions: one round trip each, planned once per connection although nothing is prepared
-- (prepared names do not survive a pooler that gives each transaction another connection).

CREATE FUNCTION @moment(test_now double precision) RETURNS double precision LANGUAGE sql VOLATILE AS
$$ SELECT coalesce(test_now, extract(epoch FROM clock_timestamp())::double precision) $$;

CREATE FUNCTION @bytes(plain text, base64 text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN plain IS NOT NULL THEN convert_to(plain, 'UTF8') ELSE decode(base64, 'base64') END $$;

CREATE FUNCTION @cancelled(why text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT convert_to(json_build_object('type', 'Cancelled', 'message', coalesce(nullif(why, ''), 'cancelled'),
                                       'reason', 'cancelled', 'traceback', NULL)::text, 'UTF8') $$;

-- Keeps one attempt that ended, and the newest fifty of a job.
CREATE FUNCTION @remember(job_seq bigint, job_fence bigint, attempt integer, worker text, started_at double precision,
                          finished_at double precision, outcome text, failure bytea) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO @attempts (job, fence, number, worker, started_at, finished_at, outcome, failure)
    VALUES (job_seq, job_fence, attempt, worker, started_at, finished_at, outcome, failure)
    ON CONFLICT (job, fence) DO UPDATE SET outcome = excluded.outcome, finished_at = excluded.finished_at,
                                           failure = excluded.failure;
    DELETE FROM @attempts WHERE job = job_seq AND fence <= (
        SELECT fence FROM @attempts WHERE job = job_seq ORDER BY fence DESC LIMIT 1 OFFSET 50);
$$;

CREATE FUNCTION @insert_wishes(wishes json, v_now double precision) RETURNS TABLE (id text) LANGUAGE sql AS $$
    WITH wish AS (
        SELECT * FROM ROWS FROM (json_to_recordset(wishes) AS (
            id text, queue text, task text, args text, args64 text, max_attempts integer, delay double precision,
            run_at double precision, priority integer, key text, owner text, label text, tags text[], meta64 text,
            timeout double precision, expires double precision, expires_at double precision, failure text, reason text,
            message text
        )) WITH ORDINALITY AS wish (
            id, queue, task, args, args64, max_attempts, delay, run_at, priority, key, owner, label, tags, meta64, timeout,
            expires, expires_at, failure, reason, message, place
        )
    ), timed AS (
        SELECT *, greatest(v_now, coalesce(run_at, v_now + coalesce(delay, 0))) AS due FROM wish ORDER BY place
    )
    INSERT INTO @jobs (state, id, queue, task, args, max_attempts, run_at, created_at, updated_at, finished_at, priority,
                       key, owner, label, tags, meta, timeout, expires_at, failure, reason, message)
    SELECT CASE WHEN failure IS NOT NULL THEN 5 WHEN due > v_now THEN 0 ELSE 1 END, id, queue, task,
           @bytes(args, args64), max_attempts, due, v_now, v_now, CASE WHEN failure IS NOT NULL THEN v_now END,
           coalesce(priority, 0), key, owner, label, tags, decode(meta64, 'base64'), timeout,
           CASE WHEN expires IS NULL THEN expires_at ELSE v_now + expires END, convert_to(failure, 'UTF8'), reason, message
      FROM timed
    ON CONFLICT DO NOTHING RETURNING id
$$;

-- Who is in a wish's way: the job of its id, else the live one that holds its key.
CREATE FUNCTION @holder(the_id text, the_task text, the_key text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT job.id FROM @jobs AS job WHERE job.id = the_id),
                    (SELECT job.id FROM @jobs AS job
                      WHERE job.task = the_task AND job.key = the_key AND job.key IS NOT NULL AND job.state < 4))
$$;

-- Stores one batch; `one_by_one` if it names an id twice. Answers only for what it did not create: the place in the batch, and the id that
-- is there already (NULL if that has ended meanwhile: ask again). `limited`: some have a max_size; if their queue has no
-- room for them, nothing is stored, and the only answer has place 0 and the queue's name.
CREATE FUNCTION @enqueue(wishes text, one_by_one boolean, limited boolean, test_now double precision) RETURNS TABLE (place bigint, there text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_new text[] := '{}';
    v_places bigint[] := '{}';
    v_there text[] := '{}';
    v_id text;
    v_wish record;
    v_room record;
BEGIN
    IF limited THEN  -- two callers must not both take the last place
        PERFORM pg_advisory_xact_lock(hashtextextended('@jobs ' || room.queue, 0))
           FROM (SELECT DISTINCT wish.queue FROM json_to_recordset(wishes::json) AS wish (queue text, max_size bigint)
                  WHERE wish.max_size IS NOT NULL ORDER BY wish.queue) AS room;
    END IF;
    IF one_by_one THEN
        FOR v_wish IN SELECT element, ordinality FROM json_array_elements(wishes::json) WITH ORDINALITY AS each (element) LOOP
            SELECT added.id INTO v_id FROM @insert_wishes(json_build_array(v_wish.element), v_now) AS added;
            IF FOUND THEN
                v_new := v_new || v_id;
            ELSE  -- who is in its way now; later ones of this batch are not
                v_places := v_places || v_wish.ordinality;
                v_there := v_there || @holder(v_wish.element ->> 'id', v_wish.element ->> 'task', v_wish.element ->> 'key');
            END IF;
        END LOOP;
    ELSE
        SELECT coalesce(array_agg(added.id), '{}') INTO v_new FROM @insert_wishes(wishes::json, v_now) AS added;
    END IF;

    IF limited THEN
        FOR v_room IN
            SELECT wish.queue, min(wish.max_size) AS size
              FROM json_to_recordset(wishes::json) AS wish (id text, queue text, max_size bigint, failure text)
             WHERE wish.max_size IS NOT NULL AND wish.failure IS NULL AND wish.id = ANY (v_new) GROUP BY wish.queue
        LOOP
            IF (SELECT count(*) FROM (SELECT FROM @jobs WHERE state = 0 AND queue = v_room.queue LIMIT v_room.size + 1) AS a)
             + (SELECT count(*) FROM (SELECT FROM @jobs WHERE state = 1 AND crashes = 0 AND queue = v_room.queue
                                       LIMIT v_room.size + 1) AS b)
             + (SELECT count(*) FROM (SELECT FROM @jobs WHERE state = 1 AND crashes > 0 AND queue = v_room.queue
                                       LIMIT v_room.size + 1) AS c) > v_room.size
            THEN
                DELETE FROM @jobs WHERE id = ANY (v_new);
                RETURN QUERY SELECT 0::bigint, v_room.queue;
                RETURN;
            END IF;
        END LOOP;
    END IF;

    IF one_by_one THEN
        RETURN QUERY SELECT * FROM unnest(v_places, v_there);
    ELSIF cardinality(v_new) < json_array_length(wishes::json) THEN
        RETURN QUERY
        SELECT wish.place, @holder(wish.id, wish.task, wish.key)
          FROM ROWS FROM (json_to_recordset(wishes::json) AS (id text, task text, key text)) WITH ORDINALITY
               AS wish (id, task, key, place)
         WHERE wish.id NOT IN (SELECT unnest(v_new)) ORDER BY wish.place;
    END IF;
END $$;

-- "state + 0", here and below: rows that are named by seq must be found by seq. Else the index of held jobs looks like the
-- better way, and that one is full of jobs that were held a moment ago.

-- Writes endings. `done` are plain successes, `other` all the rest, each with its place among them; answers the places whose
-- lease still held, and the state the job went to.
CREATE FUNCTION @settle(done text, other text, test_now double precision) RETURNS TABLE (place integer, reached smallint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_end record;
    v_job @jobs%ROWTYPE;
    v_target smallint;
    v_why bytea;
BEGIN
    IF done IS NOT NULL THEN
        RETURN QUERY
        UPDATE @jobs AS job
           SET state = 4, result = @bytes(ending.result, ending.result64), finished_at = v_now, updated_at = v_now,
               lease_until = NULL, failure = NULL, reason = NULL, message = NULL, version = job.version + 1
          FROM json_to_recordset(done::json) AS ending (
               place integer, seq bigint, fence bigint, result text, result64 text)
         WHERE job.seq = ending.seq AND job.fence = ending.fence AND job.state + 0 IN (2, 3)
        RETURNING ending.place, 4::smallint;
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
        RETURN QUERY SELECT v_end.place, v_target;
    END LOOP;
END $$;

-- Takes the next jobs of each want. The first row has no seq and says when the next scheduled job is due.
CREATE FUNCTION @claim(the_worker text, wants text, lease double precision, test_now double precision)
RETURNS TABLE (
    next_due double precision, seq bigint, id text, fence bigint, queue text, task text, args bytea, attempt integer,
    errors integer, crashes integer, max_attempts integer, priority integer, key text, owner text, label text, tags text[],
    meta bytea, timeout double precision, expired boolean, cancelling boolean, cancel_reason text, worker text
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_want record;
    v_found integer := 0;
    v_crashed boolean := false;  -- one job that took a process down per turn, whichever queue it comes from
BEGIN
    -- MATERIALIZED, here and below: a subquery that skips what is locked must not be asked twice within one statement.
    WITH due AS MATERIALIZED (
        SELECT late.seq FROM @jobs AS late WHERE late.state = 0 AND late.run_at <= v_now
         ORDER BY late.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
    UPDATE @jobs AS job SET state = 1, version = job.version + 1, updated_at = v_now FROM due WHERE job.seq = due.seq;
    RETURN QUERY
    SELECT (SELECT greatest(0, job.run_at - v_now) FROM @jobs AS job WHERE job.state = 0 ORDER BY job.run_at LIMIT 1),
           NULL::bigint, NULL::text, NULL::bigint, NULL::text, NULL::text, NULL::bytea, NULL::integer, NULL::integer,
           NULL::integer, NULL::integer, NULL::integer, NULL::text, NULL::text, NULL::text, NULL::text[], NULL::bytea,
           NULL::double precision, NULL::boolean, NULL::boolean, NULL::text, NULL::text;
    IF wants IS NULL THEN
        RETURN;
    END IF;
    FOR v_want IN
        SELECT want.queue, want.room, want.tasks, want.crashed, want.from_rank, want.from_seq
          FROM json_to_recordset(wants::json) AS want (
               queue text, room integer, tasks text[], crashed boolean, from_rank bigint, from_seq bigint)
         WHERE NOT EXISTS (SELECT FROM @queues AS known WHERE known.name = want.queue AND known.paused)
    LOOP
        v_found := 0;
        -- They look at the clock once more: a job that came after v_now may be seen, and does not start before that.
        IF v_want.crashed AND NOT v_crashed THEN
            RETURN QUERY
            UPDATE @jobs AS job SET
                state = 2, attempt = job.attempt + 1, fence = job.fence + 1, worker = the_worker,
                lease_until = v_now + lease, started_at = (SELECT @moment(test_now)), updated_at = (SELECT @moment(test_now)),
                progress = NULL, version = job.version + 1
             WHERE job.seq = (
                   SELECT line.seq FROM @jobs AS line
                    WHERE line.state = 1 AND line.crashes > 0 AND line.queue = v_want.queue
                      AND line.task = ANY (v_want.tasks)
                    ORDER BY line.priority DESC, line.seq LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING NULL::double precision, job.seq, job.id, job.fence, job.queue, job.task, job.args, job.attempt,
                job.errors, job.crashes, job.max_attempts, job.priority, job.key, job.owner, job.label, job.tags, job.meta,
                job.timeout, coalesce(job.expires_at <= v_now, false), false, job.cancel_reason, NULL::text;
            GET DIAGNOSTICS v_found = ROW_COUNT;
            v_crashed := v_found > 0;
        END IF;
        RETURN QUERY
        WITH chosen AS MATERIALIZED (
            SELECT line.seq, (SELECT @moment(test_now)) AS now FROM @jobs AS line
             WHERE line.state = 1 AND line.crashes = 0 AND line.queue = v_want.queue AND line.task = ANY (v_want.tasks)
               AND ((-line.priority::bigint), line.seq) >= (v_want.from_rank, v_want.from_seq)
             ORDER BY (-line.priority::bigint), line.seq LIMIT v_want.room - v_found FOR UPDATE SKIP LOCKED)
        UPDATE @jobs AS job SET
            state = 2, attempt = job.attempt + 1, fence = job.fence + 1, worker = the_worker,
            lease_until = v_now + lease, started_at = chosen.now, updated_at = chosen.now, progress = NULL,
            version = job.version + 1
          FROM chosen WHERE job.seq = chosen.seq
        RETURNING NULL::double precision, job.seq, job.id, job.fence, job.queue, job.task, job.args, job.attempt,
            job.errors, job.crashes, job.max_attempts, job.priority, job.key, job.owner, job.label, job.tags, job.meta,
            job.timeout, coalesce(job.expires_at <= v_now, false), false, job.cancel_reason, NULL::text;
    END LOOP;
END $$;

-- Both halves of a turn at once. The places of the endings that were written stand in the first row.
CREATE FUNCTION @turn(the_worker text, done text, other text, wants text, lease double precision, test_now double precision)
RETURNS TABLE (
    written integer[], next_due double precision, seq bigint, id text, fence bigint, queue text, task text, args bytea,
    attempt integer, errors integer, crashes integer, max_attempts integer, priority integer, key text, owner text,
    label text, tags text[], meta bytea, timeout double precision, expired boolean, cancelling boolean, cancel_reason text,
    worker text
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_written integer[];
BEGIN
    IF done IS NOT NULL OR other IS NOT NULL THEN
        SELECT array_agg(ended.place) INTO v_written FROM @settle(done, other, test_now) AS ended;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN taken.seq IS NULL THEN v_written END, taken.* FROM @claim(the_worker, wants, lease, test_now) AS taken;
END $$;

-- Which of these leases were asked to stop, and which no longer hold (those have no state).
CREATE FUNCTION @hear(leases text) RETURNS TABLE (place integer, state smallint, reason text, grace double precision)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    SELECT lease.place, job.state, job.cancel_reason, job.cancel_grace
      FROM json_to_recordset(leases::json) AS lease (place integer, seq bigint, fence bigint)
      LEFT JOIN @jobs AS job ON job.seq = lease.seq AND job.fence = lease.fence AND job.state + 0 IN (2, 3)
     WHERE job.seq IS NULL OR job.state = 3 ORDER BY lease.place
$$;

CREATE FUNCTION @pulse(worker_id text, card bytea, card_lives double precision, leases text, lease double precision,
                       test_now double precision)
RETURNS TABLE (place integer, state smallint, reason text, grace double precision)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
BEGIN
    INSERT INTO @workers AS known (id, card, started_at, beat_at, gone_at)
    VALUES (worker_id, card, v_now, v_now, v_now + card_lives)
    ON CONFLICT (id) DO UPDATE SET card = excluded.card, beat_at = v_now, gone_at = v_now + card_lives;
    UPDATE @jobs AS job SET
        lease_until = v_now + lease, progress = coalesce(convert_to(sign.progress, 'UTF8'), job.progress),
        updated_at = CASE WHEN sign.progress IS NULL THEN job.updated_at ELSE v_now END,
        version = job.version + (sign.progress IS NOT NULL)::integer
      FROM json_to_recordset(leases::json) AS sign (seq bigint, fence bigint, progress text)
     WHERE job.seq = sign.seq AND job.fence = sign.fence AND job.state + 0 IN (2, 3);
    RETURN QUERY SELECT * FROM @hear(leases);
END $$;

CREATE FUNCTION @reclaim(most integer, lease double precision, test_now double precision)
RETURNS TABLE (
    next_due double precision, seq bigint, id text, fence bigint, queue text, task text, args bytea, attempt integer,
    errors integer, crashes integer, max_attempts integer, priority integer, key text, owner text, label text, tags text[],
    meta bytea, timeout double precision, expired boolean, cancelling boolean, cancel_reason text, worker text
)
LANGUAGE sql SET enable_seqscan = off AS $$
    WITH late AS MATERIALIZED (
        SELECT job.seq FROM @jobs AS job WHERE job.state IN (2, 3) AND job.lease_until <= (SELECT @moment(test_now))
         ORDER BY job.lease_until, job.seq LIMIT most FOR UPDATE SKIP LOCKED)
    UPDATE @jobs AS job SET fence = job.fence + 1, lease_until = @moment(test_now) + lease
      FROM late WHERE job.seq = late.seq
    RETURNING NULL::double precision, job.seq, job.id, job.fence, job.queue, job.task, job.args, job.attempt, job.errors,
        job.crashes, job.max_attempts, job.priority, job.key, job.owner, job.label, job.tags, job.meta, job.timeout, false,
        job.state = 3, job.cancel_reason, job.worker
$$;

-- An operator's move, job by job in the order given. `targets` is the state to go to by the state it is in, from 0; NULL: leave
-- it alone. Answers those that were moved.
CREATE FUNCTION @move(seqs bigint[], targets smallint[], renews boolean, why text, force_after double precision,
                      delay double precision, new_args bytea, test_now double precision) RETURNS SETOF bigint
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now double precision := @moment(test_now);
    v_seq bigint;
    v_job @jobs%ROWTYPE;
    v_target smallint;
    v_due double precision := @moment(test_now) + greatest(0, delay);
BEGIN
    FOREACH v_seq IN ARRAY seqs LOOP
        SELECT * INTO v_job FROM @jobs AS job WHERE job.seq = v_seq FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_target := targets[v_job.state + 1];
        CONTINUE WHEN v_target IS NULL;
        CONTINUE WHEN v_target < 4 AND v_job.state > 3 AND v_job.key IS NOT NULL AND EXISTS (  -- one live job per key
            SELECT FROM @jobs AS other WHERE other.task = v_job.task AND other.key = v_job.key AND other.key IS NOT NULL
               AND other.state < 4);
        IF v_target = 1 AND delay > 0 THEN
            v_target := 0;
        END IF;
        IF renews AND v_job.state = 4 THEN
            PERFORM @remember(v_job.seq, v_job.fence, v_job.attempt, v_job.worker, v_job.started_at, v_job.finished_at,
                              'succeeded', NULL);
        END IF;
        IF v_target IN (3, 6) THEN
            UPDATE @jobs AS job SET
                state = v_target, cancel_asked = true, cancel_reason = coalesce(why, job.cancel_reason),
                cancel_grace = coalesce(force_after, job.cancel_grace), updated_at = v_now, version = job.version + 1,
                finished_at = CASE WHEN v_target = 6 THEN v_now END,
                failure = CASE WHEN v_target = 6 THEN @cancelled(why) ELSE job.failure END,
                reason = CASE WHEN v_target = 6 THEN 'cancelled' ELSE job.reason END,
                message = CASE WHEN v_target = 6 THEN coalesce(nullif(why, ''), 'cancelled') ELSE job.message END
             WHERE job.seq = v_seq;
        ELSIF renews THEN
            UPDATE @jobs AS job SET
                state = v_target, errors = 0, crashes = 0, run_at = v_due, finished_at = NULL, updated_at = v_now,
                worker = NULL, started_at = NULL, progress = NULL, result = NULL, failure = NULL, reason = NULL,
                message = NULL, cancel_asked = false, cancel_reason = NULL, cancel_grace = NULL,
                -- A moment to expire at that has passed would only end it again.
                expires_at = CASE WHEN job.expires_at > v_due THEN job.expires_at END, version = job.version + 1
             WHERE job.seq = v_seq;
        ELSE
            UPDATE @jobs AS job SET state = v_target, run_at = v_due, updated_at = v_now, version = job.version + 1
             WHERE job.seq = v_seq;
        END IF;
        IF new_args IS NOT NULL THEN
            UPDATE @jobs AS job SET args = new_args WHERE job.seq = v_seq;
        END IF;
        RETURN NEXT v_seq;
    END LOOP;
END $$;

-- The first job created at or after a moment, by halving: jobs are numbered in the order they came.
CREATE FUNCTION @first_since(moment double precision) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    v_low bigint;
    v_high bigint;
    v_job record;
BEGIN
    SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) + 1 INTO v_low, v_high FROM @jobs;
    WHILE v_low < v_high LOOP
        SELECT seq, created_at INTO v_job FROM @jobs WHERE seq >= (v_low + v_high) / 2 ORDER BY seq LIMIT 1;
        IF NOT FOUND OR v_job.created_at >= moment THEN
            v_high := (v_low + v_high) / 2;
        ELSE
            v_low := v_job.seq + 1;
        END IF;
    END LOOP;
    RETURN v_low;
END $$;
