-- Who stands where: members of the indexes of some states. ARGV[2]: { states, queues or nil, ended at least so many
-- seconds ago or nil, at most so many or nil, most members to list, in order of ending }.
-- Answers { now, how many, member, ... }; no members if there are more than that, unless in order of ending: then the
-- first of those.
local ask = cmsgpack.unpack(ARGV[2])
local states, queues, most, by_ending = ask[1], ask[2] or call('SMEMBERS', NS .. QUEUES), ask[5], ask[6]
local latest, earliest = ask[3] and now - ask[3] or '+inf', ask[4] and now - ask[4] or '-inf'
local ended = ask[3] or ask[4]
local wanted, indexes, total = {}, {}, 0
for _, state in ipairs(states) do wanted[state] = true end

local function look_at(key, by_score)
  local size = by_score and call('ZCOUNT', key, earliest, latest) or call('ZCARD', key)
  if size > 0 then
    indexes[#indexes + 1] = { key, by_score }
    total = total + size
  end
end

for _, queue in ipairs(queues) do
  if wanted[SCHEDULED] then look_at(NS .. DUE .. queue) end
  if wanted[QUEUED] then
    for _, mark in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do
      if sub(mark, 1, 1) == '!' then
        look_at(NS .. HURT .. queue .. '/' .. sub(mark, 2))
      else
        look_at(NS .. LINE .. queue .. '/' .. mark)
      end
    end
  end
  for state = COMPLETED, CANCELLED do
    if wanted[state] then look_at(NS .. DONE .. state .. ':' .. queue, ended) end
  end
end
if wanted[RUNNING] or wanted[CANCELLING] then look_at(NS .. HELD) end

local answer = { make('<d', now), total }
if total <= most or by_ending then
  for _, index in ipairs(indexes) do
    local members
    if by_ending then
      members = call('ZRANGEBYSCORE', index[1], earliest, latest, 'LIMIT', 0, most)
    elseif index[2] then
      members = call('ZRANGEBYSCORE', index[1], earliest, latest)
    else
      members = call('ZRANGE', index[1], 0, -1)
    end
    for _, member in ipairs(members) do answer[#answer + 1] = member end
  end
end
return answer
