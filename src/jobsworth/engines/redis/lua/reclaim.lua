-- Take over leases that have run out. ARGV: now, how many at most, lease. Answers { member, record, ... }.
local members = call('ZRANGEBYSCORE', NS .. HELD, '-inf', held_until(now), 'LIMIT', 0, tonumber(ARGV[2]))
local taken = {}
if #members == 0 then return taken end
local fence, until_then, keys = call('INCRBY', NS .. FENCE, #members) - #members, held_until(now + tonumber(ARGV[3])), {}
for i, member in ipairs(members) do keys[i] = NS .. JOB .. sub(member, PLACE + 1) end
for i, record in ipairs(get_all(keys)) do
  local member = members[i]
  if is_sound(record) then
    -- Only the lease moves. The job goes on naming who ran it: that is who the history says lost it.
    local id = sub(member, PLACE + 1)
    record = sub(record, 1, FENCE_AT) .. make('<d', fence + i) .. sub(record, FENCE_AT + 9)
    write(id, record)
    add(NS .. HELD, until_then, member)
    taken[#taken + 1] = member
    taken[#taken + 1] = whole(id, record, (take('<H', record, 3)))
  else
    remove(NS .. HELD, member)  -- damaged: nobody can run it
  end
end
flush()
return taken
