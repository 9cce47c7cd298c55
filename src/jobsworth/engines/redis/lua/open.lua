-- A record as a table, for paths that are not hot.

-- `rest` is what a run never changes, see open_rest().
local function open(record)
  local job = {}
  local nworker, nprogress, nresult, nfailure, nreason
  job.state, job.form, job.flags, job.fence, job.version, job.attempt, job.errors, job.crashes, job.updated, job.run_at,
    job.started, job.finished, nworker, nprogress, nresult, nfailure, nreason = take(HOT, record)
  local at = HOT_SIZE + 1
  job.worker = sub(record, at, at + nworker - 1); at = at + nworker
  job.progress = sub(record, at, at + nprogress - 1); at = at + nprogress
  job.result = sub(record, at, at + nresult - 1); at = at + nresult
  job.failure = sub(record, at, at + nfailure - 1); at = at + nfailure
  job.reason = sub(record, at, at + nreason - 1); at = at + nreason
  job.rest = sub(record, at)
  return job
end

-- The same job with the rest of it; nil if that is damaged.
local function open_rest(job)
  local rest = job.rest
  if #rest < COLD_SIZE then return nil end
  local nqueue, ntask, nkey
  job.place = sub(rest, 1, PLACE)
  nqueue, ntask, nkey, job.nmore, job.nargs, job.priority, job.max_attempts, job.created, job.expires, job.grace =
    take(COLD, rest, PLACE + 1)
  local at = COLD_SIZE + 1
  job.queue = sub(rest, at, at + nqueue - 1); at = at + nqueue
  job.task = sub(rest, at, at + ntask - 1); at = at + ntask
  job.key = sub(rest, at, at + nkey - 1); at = at + nkey
  job.body = sub(rest, at)
  return job
end

local function shut_rest(job)
  job.rest = job.place .. make(COLD, #job.queue, #job.task, #job.key, job.nmore, job.nargs, job.priority,
    job.max_attempts, job.created, job.expires, job.grace) .. job.queue .. job.task .. job.key .. job.body
end

local function shut(job)
  return make(HOT, job.state, FORM, job.flags, job.fence, job.version, job.attempt, job.errors, job.crashes,
    job.updated, job.run_at, job.started, job.finished, #job.worker, #job.progress, #job.result, #job.failure,
    #job.reason) .. job.worker .. job.progress .. job.result .. job.failure .. job.reason .. job.rest
end

local function with(flags, flag, set)
  if set then return bit.bor(flags, flag) end
  return bit.band(flags, bit.bnot(flag))
end

-- The running attempt joins the history; the oldest give way.
local function remember(id, job, outcome, finished, failure)
  local past = NS .. PAST .. id
  call('RPUSH', past, make(ATTEMPT, job.attempt, job.started, finished, #job.worker, #outcome)
    .. job.worker .. outcome .. failure)
  if has(job.flags, HISTORY) then call('LTRIM', past, -HISTORY_KEPT, -1) end
  job.flags = with(job.flags, HISTORY, true)
end
