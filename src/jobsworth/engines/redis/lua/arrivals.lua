-- Who came lately. ARGV: now, members in order of creation, newest first, as walk.lua gives them.
-- Answers { now, for each: when it was created, and its queue }; of what is gone or damaged, nothing.
local keys, answer = {}, { make('<d', now) }
for i = 2, #ARGV do keys[i - 1] = NS .. JOB .. sub(ARGV[i], PLACE + 1) end
for _, record in ipairs(get_all(keys)) do
  if is_sound(record) then
    local nworker, nprogress, nresult, nfailure, nreason = take('<HI4I4I4I4', record, LENGTHS_AT + 1)
    local at = HOT_SIZE + PLACE + nworker + nprogress + nresult + nfailure + nreason
    local nqueue = #record > at + 1 and take('<H', record, at + 1) or 0
    at = at - PLACE + COLD_SIZE
    if #record >= at then
      answer[#answer + 1] = sub(record, at - 23, at - 16)
      answer[#answer + 1] = sub(record, at + 1, at + nqueue)
    end
  end
end
return answer
