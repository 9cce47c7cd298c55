-- All that is held. Answers { now, member, record, ... }. Changes nothing.
local members, keys, found = call('ZRANGE', NS .. HELD, 0, -1), {}, { format('%.17g', now) }
for i, member in ipairs(members) do keys[i] = NS .. JOB .. sub(member, PLACE + 1) end
for i, record in ipairs(get_all(keys)) do
  if is_sound(record) then
    found[#found + 1] = members[i]
    found[#found + 1] = whole(sub(members[i], PLACE + 1), record, (take('<H', record, 3)))
  end
end
return found
