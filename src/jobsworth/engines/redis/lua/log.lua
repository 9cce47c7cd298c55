-- What runs have logged, of leases that hold. ARGV[#ARGV]: { id, fence, first, last, lines } each; logged.py says what becomes
-- of it, and no script looks into the lines. It comes first in its script: an ending gives the lease up.
guard()

local function keep_lines(said, job)
  local logs, first, last = NS .. LOGS .. said[1], said[3], said[4]
  local place, run, base = 0, 1, 0
  local newest = call('ZRANGE', logs, -1, -1)[1]
  if newest then
    local fence, its_last
    place, run, base, its_last, fence = take(LOG, newest)
    if fence == job.fence then
      first = math.max(first, its_last + 1)
    else
      run, base = run + 1, place
    end
  end
  if first > last then return end
  place = place + last - first + 1
  local began = job.started == job.started and job.started or now
  call('ZADD', logs, place, make(LOG, place, run, base, last, job.fence, first, job.attempt, began) .. said[5])
  if place - base > LINES_KEPT then call('ZREMRANGEBYSCORE', logs, '(' .. base, place - LINES_KEPT) end
  while run > RUNS_KEPT do
    local _, its_run = take(LOG, call('ZRANGE', logs, 0, 0)[1])
    if its_run > run - RUNS_KEPT then break end
    call('ZREMRANGEBYRANK', logs, 0, 0)
  end
end

for _, said in ipairs(cmsgpack.unpack(ARGV[#ARGV])) do
  local record = call('GET', NS .. JOB .. said[1])
  local job = is_sound(record) and open(record)
  if job and job.fence == said[2] and (job.state == RUNNING or job.state == CANCELLING) then keep_lines(said, job) end
end
