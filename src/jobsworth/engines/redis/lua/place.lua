-- Where a job stands. ARGV[2]: its id. Answers { now, 1 if it is there, how many are given out before it or -1 }.
-- Writes nothing.
local id = ARGV[2]
local record = call('GET', NS .. JOB .. id)
local job = is_sound(record) and open_rest(open(record))
if not job or job.state ~= QUEUED then return { make('<d', now), record and 1 or 0, -1 } end

-- How many of those between two ranks of a line, which are in order, come before the job.
local function before(line, from, to)
  local member = job.place .. id
  while from < to do
    local middle = math.floor((from + to) / 2)
    if call('ZRANGE', line, middle, middle)[1] < member then from = middle + 1 else to = middle end
  end
  return from
end

local score, ahead, hurt = 0 - job.priority, 0, job.crashes > 0
for _, mark in ipairs(call('SMEMBERS', NS .. TASKS .. job.queue)) do
  if (sub(mark, 1, 1) == '!') == hurt then
    local line = hurt and NS .. HURT .. job.queue .. '/' .. sub(mark, 2) or NS .. LINE .. job.queue .. '/' .. mark
    local higher = call('ZCOUNT', line, '-inf', '(' .. score)
    ahead = ahead + before(line, higher, higher + call('ZCOUNT', line, score, score))
  end
end
return { make('<d', now), 1, ahead }
