-- Write down every ending, move due jobs into line, bring the next jobs.
-- ARGV: now, worker, lease, wants, number of plain endings, for each: id, fence, result; then, if there are any,
-- the other endings, followed by their results and the jobs that are sent on (store.lua), which they name by place.
-- Answers { seconds until the next job is due or '', refused ids, { member, record, ... } }.
local worker, lease, wants = ARGV[2], tonumber(ARGV[3]), cmsgpack.unpack(ARGV[4])
local refused = {}

-- The common ending: the handler returned, and there is nothing else to say.
local function settle_plain(number, at)
  local keys, held = {}, {}
  for i = 1, number do keys[i] = NS .. JOB .. ARGV[at + 3 * i - 3] end
  local records = get_all(keys)
  for i = 1, number do
    local id, given, result = ARGV[at + 3 * i - 3], tonumber(ARGV[at + 3 * i - 2]), ARGV[at + 3 * i - 1]
    local record = records[i]
    local state, form, flags, fence, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
      nprogress, nresult, nfailure, nreason
    if is_sound(record) then
      state, form, flags, fence, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
        nprogress, nresult, nfailure, nreason = take(HOT, record)
    end
    if fence == given and (state == RUNNING or state == CANCELLING) then
      local at_failure = HOT_SIZE + nworker + nprogress + nresult
      local at_rest = at_failure + nfailure + nreason
      local nqueue, ntask, nkey = take('<HHH', record, at_rest + PLACE + 1)
      local at_queue = at_rest + COLD_SIZE
      local place = sub(record, at_rest + 1, at_rest + PLACE)
      local queue = sub(record, at_queue + 1, at_queue + nqueue)
      write(id, make(HOT, COMPLETED, FORM, bit.bor(flags, RESULT), fence, version + 1, attempt, errors, crashes, now,
        run_at, started, now, nworker, nprogress, #result, 0, nreason)
        .. sub(record, HOT_SIZE + 1, HOT_SIZE + nworker + nprogress) .. result
        .. sub(record, at_failure + nfailure + 1))
      held[#held + 1] = place .. id
      finish(COMPLETED, queue, now, place .. id)
      if nkey > 0 then
        local at_task = at_queue + nqueue
        call('HDEL', NS .. UNIQUE, sub(record, at_task + 1, at_task + ntask) .. '/'
          .. sub(record, at_task + ntask + 1, at_task + ntask + nkey))
      end
    else
      refused[#refused + 1] = id
    end
  end
  if #held > 0 then removed[NS .. HELD] = held end
end

-- ending: { id, fence, target, if_cancelling, outcome, delay, refund, errors, crashes, result's place in ARGV,
--           failure, progress, { groups, place in ARGV } of what is sent on }
local function settle(ending)
  local id = ending[1]
  local record = fresh[id] or call('GET', NS .. JOB .. id)
  local job = is_sound(record) and open(record)
  if not job or job.fence ~= ending[2] or (job.state ~= RUNNING and job.state ~= CANCELLING) then
    refused[#refused + 1] = id
    return
  end
  open_rest(job)
  local member, target = job.place .. id, job.state == CANCELLING and ending[4] or ending[3]
  if ending[5] ~= 'succeeded' then remember(id, job, ending[5], now, ending[11] or '') end
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
  if ending[13] and target == ending[3] then
    local chosen = sort_out(ending[13][1], ending[13][2], {})
    if #chosen > 0 then create(chosen) end
  end
end

-- Due jobs move into line, so many per turn, so that a million due at once hold nobody up.
local function promote()
  local first = call('ZRANGE', NS .. DUES, 0, 0, 'WITHSCORES')
  local left = PROMOTED
  while first[1] and tonumber(first[2]) <= now and left > 0 do
    local queue = first[1]
    local members = call('ZRANGEBYSCORE', NS .. DUE .. queue, '-inf', now, 'LIMIT', 0, left)
    local keys = {}
    for i, member in ipairs(members) do keys[i] = NS .. JOB .. sub(member, PLACE + 1) end
    for i, record in ipairs(get_all(keys)) do
      if is_sound(record) then
        local job = open_rest(open(record))
        job.state, job.version, job.updated = QUEUED, job.version + 1, now
        write(sub(members[i], PLACE + 1), shut(job))
        enter(job, members[i])
      else
        finish(FAILED, queue, now, members[i])  -- damaged: shown as what it is
      end
      remove(NS .. DUE .. queue, members[i])
    end
    touched[queue] = true
    guard()
    flush()
    if #members == 0 then break end
    left = left - #members
    first = call('ZRANGE', NS .. DUES, 0, 0, 'WITHSCORES')
  end
  if not first[1] then return '' end
  return format('%.17g', math.max(0, first[2] - now))
end

-- The lines of the wanted tasks that somebody stands in.
local function lines_of(queue, tasks, mark, suffix)
  local found = {}
  if #tasks > 3 then
    local there = {}
    for _, each in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do there[each] = true end
    for _, task in ipairs(tasks) do
      if there[mark .. task] then found[#found + 1] = NS .. suffix .. queue .. '/' .. task end
    end
  else
    for i, task in ipairs(tasks) do found[i] = NS .. suffix .. queue .. '/' .. task end
  end
  return found
end

local function before(score, member, other_score, other_member)
  return score < other_score or (score == other_score and member < other_member)
end

-- The first `limit` of several lines: { score, member, line } each, in order.
local function first_of(keys, limit)
  local picked, heads = {}, {}
  local step = #keys == 1 and limit or math.min(limit, math.ceil(2 * limit / math.max(#keys, 1)) + 1)
  local function fill(head)
    head.list = call('ZRANGE', head.key, head.from, head.from + step - 1, 'WITHSCORES')
    head.at, head.from = 1, head.from + step
    head.score = head.list[2] and tonumber(head.list[2])
    return head.score
  end
  for _, key in ipairs(keys) do
    local head = { key = key, from = 0 }
    if fill(head) then heads[#heads + 1] = head end
  end
  while #picked < limit and #heads > 0 do
    local best = 1
    for i = 2, #heads do
      local head, leader = heads[i], heads[best]
      if before(head.score, head.list[head.at], leader.score, leader.list[leader.at]) then best = i end
    end
    local head = heads[best]
    picked[#picked + 1] = { head.score, head.list[head.at], head.key }
    head.at = head.at + 2
    head.score = head.list[head.at + 1] and tonumber(head.list[head.at + 1])
    if not head.score and not (#head.list == 2 * step and fill(head)) then table.remove(heads, best) end
  end
  return picked
end

local given, crashed_given = {}, false

local function pick(queue, limit, tasks, crashed)
  local hurt = {}
  if crashed and not crashed_given then hurt = first_of(lines_of(queue, tasks, '!', HURT), 1) end
  local picked = {}
  if limit > #hurt then picked = first_of(lines_of(queue, tasks, '', LINE), limit - #hurt) end
  if #hurt > 0 then
    crashed_given = true
    local at = 1
    while picked[at] and before(picked[at][1], picked[at][2], hurt[1][1], hurt[1][2]) do at = at + 1 end
    table.insert(picked, at, hurt[1])
  end
  return picked
end

-- Give these out, in this order.
local function hand_out(queue, picked)
  local number = #picked
  local fence = call('INCRBY', NS .. FENCE, number) - number
  local keys, held, until_then = {}, {}, now + lease
  for i = 1, number do keys[i] = NS .. JOB .. sub(picked[i][2], PLACE + 1) end
  local records = get_all(keys)
  for i = 1, number do
    local member, record = picked[i][2], records[i]
    remove(picked[i][3], member)
    if is_sound(record) then
      local id = sub(member, PLACE + 1)
      local state, form, flags, old, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
        nprogress, nresult, nfailure, nreason = take(HOT, record)
      local kept = sub(record, HOT_SIZE + nworker + nprogress + 1)  -- all but the last worker and its progress
      record = make(HOT, RUNNING, FORM, flags, fence + i, version + 1, attempt + 1, errors, crashes, now, run_at, now,
        finished, #worker, 0, nresult, nfailure, nreason) .. worker .. kept
      write(id, record)
      held[#held + 1] = until_then
      held[#held + 1] = member
      given[#given + 1] = member
      given[#given + 1] = whole(id, record, flags)
    else
      finish(FAILED, queue, now, member)  -- damaged: it must not stop the others, and is shown as what it is
    end
  end
  if #held > 0 then added[NS .. HELD] = held end
  flush()
end

local plain = tonumber(ARGV[5])
local others = ARGV[6 + 3 * plain]
if plain > 0 or others then
  guard()
  if plain > 0 then settle_plain(plain, 6) end
  if others then
    for _, ending in ipairs(cmsgpack.unpack(others)) do settle(ending) end
  end
  flush()
end
local due = promote()
for _, want in ipairs(wants) do
  local queue, limit = want[1], want[2]
  if limit > 0 and call('HGET', NS .. SETTINGS, queue) ~= '1' then
    local picked = pick(queue, limit, want[3], want[4])
    if #picked > 0 then hand_out(queue, picked) end
  end
end
return { due, refused, given }
