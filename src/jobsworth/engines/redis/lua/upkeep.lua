-- Forget the cards that have run out, and the names of queues and lines that nobody stands in any more.
local cards = call('HGETALL', NS .. CARDS)
for i = 1, #cards, 2 do
  if #cards[i + 1] < 24 or take('<d', cards[i + 1], 17) <= now then call('HDEL', NS .. CARDS, cards[i]) end
end
for _, queue in ipairs(call('SMEMBERS', NS .. QUEUES)) do
  for _, mark in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do
    local line = NS .. LINE .. queue .. '/' .. mark
    if sub(mark, 1, 1) == '!' then line = NS .. HURT .. queue .. '/' .. sub(mark, 2) end
    if call('EXISTS', line) == 0 then call('SREM', NS .. TASKS .. queue, mark) end
  end
  local stands = call('EXISTS', NS .. TASKS .. queue, NS .. DUE .. queue, NS .. DONE .. COMPLETED .. ':' .. queue,
    NS .. DONE .. FAILED .. ':' .. queue, NS .. DONE .. CANCELLED .. ':' .. queue)
  -- A job that runs comes back to its queue, whose name is needed then.
  if stands == 0 and call('ZCARD', NS .. HELD) == 0 then call('SREM', NS .. QUEUES, queue) end
end
return 0
