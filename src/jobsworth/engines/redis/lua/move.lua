-- An operator's change to the jobs named. ARGV: now, the change, { member, version or nil } each, new arguments or none.
-- change: { { from = to, ... }, renews, reason, grace, delay, failure of what is cancelled }
-- Answers for each: 1 moved, 0 left alone, 2 it has changed since it was looked at.
local change = cmsgpack.unpack(ARGV[2])
local targets, renews, reason, grace, delay, failure = change[1], change[2], change[3], change[4], change[5], change[6]
local args = ARGV[4]

-- A fresh start: attempt numbers go on and the history stays, all else of the earlier life is forgotten.
local function renew(id, job, due)
  if job.state == COMPLETED then remember(id, job, 'succeeded', job.finished, '') end
  job.errors, job.crashes, job.worker, job.started, job.finished = 0, 0, '', NONE, NONE
  job.result, job.failure, job.progress, job.reason, job.grace = '', '', '', '', NONE
  job.flags = bit.band(job.flags, bit.bor(APART, HISTORY))
  if not (job.expires > due) then job.expires = NONE end  -- else a job that expired would only expire again
end

local function edit(id, job)
  local body = has(job.flags, APART) and (call('GET', NS .. ARGS .. id) or '') or job.body
  body = sub(body, 1, job.nmore) .. args
  job.nargs = #args
  local apart = #body > INLINE
  if apart then call('SET', NS .. ARGS .. id, body) else call('DEL', NS .. ARGS .. id) end
  job.body = apart and '' or body
  job.flags = with(job.flags, APART, apart)
end

local function ask_to_stop(job, target)
  job.flags = with(job.flags, ASKED, true)
  if reason then job.reason, job.flags = reason, with(job.flags, REASON, true) end
  if grace then job.grace = grace end
  if target == CANCELLED then job.finished, job.failure = now, failure end
end

local function hold_key(id, job)
  if job.key == '' then return end
  local name = job.task .. '/' .. job.key
  if job.state < COMPLETED then
    call('HSET', NS .. UNIQUE, name, id)
  elseif call('HGET', NS .. UNIQUE, name) == id then
    call('HDEL', NS .. UNIQUE, name)
  end
end

local function move(id, member, job, target)
  local due = now + math.max(delay, 0)
  if target == QUEUED and delay > 0 then target = SCHEDULED end
  local stays = (job.state == RUNNING or job.state == CANCELLING) and (target == RUNNING or target == CANCELLING)
  if not stays then leave(job, member) end
  if args then edit(id, job) end
  if target == SCHEDULED or target == QUEUED then job.run_at = due end
  if target == CANCELLING or target == CANCELLED then ask_to_stop(job, target) end
  if renews then renew(id, job, due) end
  job.state, job.version, job.updated = target, job.version + 1, now
  shut_rest(job)
  write(id, shut(job))
  hold_key(id, job)
  if not stays then enter(job, member) end
end

guard()
local answers = {}
for i, item in ipairs(cmsgpack.unpack(ARGV[3])) do
  local member = item[1]
  local id = sub(member, PLACE + 1)
  local record = call('GET', NS .. JOB .. id)
  local job = is_sound(record) and open_rest(open(record))
  local target = job and job.place == sub(member, 1, PLACE) and targets[tostring(job.state)]
  answers[i] = 0
  if target and item[2] and item[2] ~= job.version then
    answers[i] = 2
  elseif target then
    local holder = target < COMPLETED and job.key ~= '' and call('HGET', NS .. UNIQUE, job.task .. '/' .. job.key)
    if not holder or holder == id then  -- one live job per key
      move(id, member, job, target)
      answers[i] = 1
    end
  end
end
flush()
return answers
