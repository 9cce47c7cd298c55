-- What a script changes is collected here and written by flush(), a command per key and not one per job.
local written, fresh = {}, {}  -- key, value, ...; id -> the record as it will be
local added, removed, lines, touched = {}, {}, {}, {}

local function write(id, record)
  fresh[id] = record
  written[#written + 1] = NS .. JOB .. id
  written[#written + 1] = record
end

local function add(key, score, member)
  local list = added[key]
  if not list then list = {}; added[key] = list end
  local size = #list
  list[size + 1] = score
  list[size + 2] = member
end

local function remove(key, member)
  local list = removed[key]
  if not list then list = {}; removed[key] = list end
  list[#list + 1] = member
end

local function line_of(queue, task, crashes)
  if crashes > 0 then return NS .. HURT .. queue .. '/' .. task, '!' .. task end
  return NS .. LINE .. queue .. '/' .. task, task
end

local function stand_in_line(queue, task, crashes, priority, member)
  local line, mark = line_of(queue, task, crashes)
  add(line, 0 - priority, member)
  local marks = lines[queue]
  if not marks then marks = {}; lines[queue] = marks end
  marks[mark] = true
end

local function wait_until(queue, run_at, member)
  add(NS .. DUE .. queue, run_at, member)
  touched[queue] = true
end

local function finish(state, queue, finished, member)
  add(NS .. DONE .. state .. ':' .. queue, finished, member)
end

-- Where a job stands, by its state. For paths that are not hot.
local function enter(job, member)
  if job.state == QUEUED then
    stand_in_line(job.queue, job.task, job.crashes, job.priority, member)
  elseif job.state == SCHEDULED then
    wait_until(job.queue, job.run_at, member)
  elseif job.state >= COMPLETED then
    finish(job.state, job.queue, job.finished, member)
  end
end

local function leave(job, member)
  if job.state == QUEUED then
    remove((line_of(job.queue, job.task, job.crashes)), member)
  elseif job.state == SCHEDULED then
    remove(NS .. DUE .. job.queue, member)
    touched[job.queue] = true
  elseif job.state >= COMPLETED then
    remove(NS .. DONE .. job.state .. ':' .. job.queue, member)
  else
    remove(NS .. HELD, member)
  end
end

local function flush()
  if #written > 0 then
    local size = #written
    for at = 1, size, MOST do call('MSET', spread(written, at, math.min(at + MOST - 1, size))) end
    written = {}
  end
  for key, members in pairs(removed) do in_parts('ZREM', key, members) end
  for key, pairs_of in pairs(added) do in_parts('ZADD', key, pairs_of) end
  for queue, marks in pairs(lines) do
    for mark in pairs(marks) do call('SADD', NS .. TASKS .. queue, mark) end
  end
  for queue in pairs(touched) do
    local first = call('ZRANGE', NS .. DUE .. queue, 0, 0, 'WITHSCORES')
    if first[1] then call('ZADD', NS .. DUES, first[2], queue) else call('ZREM', NS .. DUES, queue) end
  end
  added, removed, lines, touched = {}, {}, {}, {}
end
