-- Which way a run ended: the place in statistics.ENDS.
local function way_of(target, outcome)
  if target >= COMPLETED then return target == COMPLETED and 0 or target == FAILED and 2 or 3 end
  return outcome == 'lost' and 4 or (outcome == 'snoozed' or outcome == 'released') and 5 or 1
end

-- ending: { id, fence, target, if_cancelling, outcome, delay, refund, errors, crashes, result's place in ARGV,
--           failure, progress, { groups, place in ARGV } of what is sent on }
-- Gives what is to be sent on.
local function settle(ending)
  local id = ending[1]
  local record = fresh[id] or call('GET', NS .. JOB .. id)
  local job = is_sound(record) and open_rest(open(record))
  if not job or job.fence ~= ending[2] or (job.state ~= RUNNING and job.state ~= CANCELLING) then
    refused[#refused + 1] = id
    return
  end
  local member, target = job.place .. id, job.state == CANCELLING and ending[4] or ending[3]
  if ending[5] ~= 'succeeded' then remember(id, job, ending[5], now, ending[11] or '') end
  local took = now - job.started
  if not (took > 0) then took = 0 end
  count(way_of(target, ending[5]), target == COMPLETED and bucket(took) or -1, (bucket(job.started - job.run_at)),
    job.queue, job.task, 1, took)
  leave(job, member)
  job.state, job.version, job.updated = target, job.version + 1, now
  job.attempt = job.attempt - ending[7]
  if job.attempt <= 0 then job.started = NONE end
  job.errors, job.crashes = job.errors + ending[8], job.crashes + ending[9]
  job.progress, job.failure = ending[12] or job.progress, ending[11] or job.failure
  if target >= COMPLETED then
    job.finished = now
    if job.key ~= '' then call('HDEL', NS .. UNIQUE, job.task .. '/' .. job.key) end
  else
    job.run_at, job.worker = now + math.max(ending[6], 0), ''
  end
  if target == COMPLETED then
    job.result, job.failure = ending[10] and ARGV[ending[10]] or '', ''
    job.flags = with(job.flags, RESULT, ending[10])
  elseif target == CANCELLED then
    job.failure = ending[11] or ''  -- without one, readers say what its being asked says
  end
  write(id, shut(job))
  enter(job, member)
  return target == ending[3] and ending[13]
end

-- Write endings, then store what they send on: which keys are free depends on all of them.
local function settle_all(endings)
  local sent = {}
  for _, ending in ipairs(endings) do sent[#sent + 1] = settle(ending) or nil end
  for _, each in ipairs(sent) do
    local chosen = sort_out(each[1], each[2], {})
    if #chosen > 0 then create(chosen) end
  end
end
