-- Jobs of another engine, stored as they are, in this order. ARGV[2]: of each { id, state, queue, task, key, crashes,
-- priority, run_at, finished, owner, tags, apart = is a part kept elsewhere, past = how many recorded attempts }. Then
-- for each: its record up to the place, the rest of it, the part that is kept elsewhere if any is, its attempts.
-- Answers for each 1 if it is stored; 0 if its id is known, or another live job holds its key.
guard()
local chosen, mine, answers, at = {}, {}, {}, 3
for i, job in ipairs(cmsgpack.unpack(ARGV[2])) do
  local id = job.id
  local known = mine[id] or call('EXISTS', NS .. JOB .. id) == 1
  if not known and job.key ~= '' and job.state < COMPLETED then
    known = call('HSETNX', NS .. UNIQUE, job.task .. '/' .. job.key, id) == 0
  end
  if not known then
    mine[id], job.at = true, at
    chosen[#chosen + 1] = { job, id }
  end
  answers[i] = known and 0 or 1
  at = at + 2 + (job.apart and 1 or 0) + job.past
end
if #chosen == 0 then return answers end

local first = call('INCRBY', NS .. SEQ, #chosen) - #chosen
for i, new in ipairs(chosen) do
  local job, id = new[1], new[2]
  local place, from = format('%012.0f', first + i - 1), job.at
  local member = place .. id
  write(id, ARGV[from] .. place .. ARGV[from + 1])
  from = from + 2
  if job.apart then
    call('SET', NS .. ARGS .. id, ARGV[from])
    from = from + 1
  end
  if job.past > 0 then call('RPUSH', NS .. PAST .. id, spread(ARGV, from, from + job.past - 1)) end
  call('SADD', NS .. QUEUES, job.queue)
  enter(job, member)
  if job.owner then add(NS .. OWNER .. job.owner, 0, member) end
  for _, tag in ipairs(job.tags) do add(NS .. TAG .. tag, 0, member) end
end
book(first, chosen)
flush()
return answers
