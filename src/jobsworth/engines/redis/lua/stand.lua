-- Where a job stands, by its state.
local lines, touched = {}, {}

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

local flush_members = flush

local function flush()
  flush_members()
  for queue, marks in pairs(lines) do
    for mark in pairs(marks) do call('SADD', NS .. TASKS .. queue, mark) end
  end
  for queue in pairs(touched) do
    local first = call('ZRANGE', NS .. DUE .. queue, 0, 0, 'WITHSCORES')
    if first[1] then call('ZADD', NS .. DUES, first[2], queue) else call('ZREM', NS .. DUES, queue) end
  end
  lines, touched = {}, {}
end
