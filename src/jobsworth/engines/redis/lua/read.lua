-- Whole jobs. ARGV: now, then ids. Answers { now, for each: its record or false, its history or false }.
local keys, answer = {}, { make('<d', now) }
for i = 2, #ARGV do keys[i - 1] = NS .. JOB .. ARGV[i] end
for i, record in ipairs(get_all(keys)) do
  local id, past = ARGV[i + 1], false
  if is_sound(record) then
    local flags = take('<H', record, 3)
    if has(flags, HISTORY) then past = call('LRANGE', NS .. PAST .. id, 0, -1) end
    record = whole(id, record, flags)
  end
  answer[2 * i] = record
  answer[2 * i + 1] = past
end
return answer
