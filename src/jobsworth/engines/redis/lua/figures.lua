-- Queues in numbers. ARGV[2]: { queues, brief, how many of each line are asked since when they have been ready,
-- seconds over which endings are counted }. Answers { now, { state, queue } of each held job, and for each queue:
-- scheduled, completed, failed, cancelled, ended lately, the oldest moment or '', { task or !task, how many }... }.
local ask = cmsgpack.unpack(ARGV[2])
local brief, most, since = ask[2], ask[3], now - ask[4]
local wanted, held, answer = {}, {}, { make('<d', now) }
for _, queue in ipairs(ask[1]) do wanted[queue] = true end

local keys = {}
for i, member in ipairs(call('ZRANGE', NS .. HELD, 0, -1)) do keys[i] = NS .. JOB .. sub(member, PLACE + 1) end
for _, record in ipairs(get_all(keys)) do
  local job = is_sound(record) and open_rest(open(record))
  if job and wanted[job.queue] then
    held[#held + 1] = job.state
    held[#held + 1] = job.queue
  end
end
answer[2] = held

-- The earliest run_at of those who stand first in a line.
local function oldest_in(line, oldest)
  for _, member in ipairs(call('ZRANGE', line, 0, most - 1)) do
    local bytes = call('GETRANGE', NS .. JOB .. sub(member, PLACE + 1), RUN_AT, RUN_AT + 7)
    if #bytes == 8 then
      local run_at = take('<d', bytes)
      if not oldest or run_at < oldest then oldest = run_at end
    end
  end
  return oldest
end

for _, queue in ipairs(ask[1]) do
  local numbers, oldest, tasks, lately = { call('ZCARD', NS .. DUE .. queue) }, nil, {}, 0
  for state = COMPLETED, CANCELLED do
    local key = NS .. DONE .. state .. ':' .. queue
    numbers[#numbers + 1] = call('ZCARD', key)
    lately = lately + (brief and 0 or call('ZCOUNT', key, since, '+inf'))
  end
  for _, mark in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do
    local line = NS .. LINE .. queue .. '/' .. mark
    if sub(mark, 1, 1) == '!' then line = NS .. HURT .. queue .. '/' .. sub(mark, 2) end
    local size = call('ZCARD', line)
    if size > 0 then
      tasks[#tasks + 1] = mark
      tasks[#tasks + 1] = size
      oldest = oldest_in(line, oldest)
    end
  end
  numbers[5], numbers[6], numbers[7] = lately, oldest and make('<d', oldest) or '', tasks
  answer[#answer + 1] = numbers
end
return answer
