-- Who came lately. ARGV: now, members in order of creation, newest first, as walk.lua gives them.
-- Answers { now, for each: when it was created, and its queue }; of what is gone or damaged, nothing.
local keys, answer = {}, { make('<d', now) }
for i = 2, #ARGV do keys[i - 1] = NS .. JOB .. sub(ARGV[i], PLACE + 1) end
for _, record in ipairs(get_all(keys)) do
  if is_sound(record) then
    local job = open_rest(open(record))
    answer[#answer + 1] = make('<d', job.created)
    answer[#answer + 1] = job.queue
  end
end
return answer
