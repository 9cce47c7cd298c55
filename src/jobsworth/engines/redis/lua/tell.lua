-- How runs ended. ARGV: now; how many minutes ago the first and the last minute, then the first and the last hour that
-- are asked for began, or '' for none of them; of how many hours, and days, at most.
-- Answers { now, { cell, number, ... }, { key, { minute/queue/task, packed, ... }, ... } }: cells and what they are packed
-- into are of one moment.
local this, answer = math.floor(now / 60), {}
for at, kind in ipairs({ { MINUTES, MINUTES_OF, 60 }, { HOURS, HOURS_OF, 1440 } }) do
  local first, last = tonumber(ARGV[2 * at]), tonumber(ARGV[2 * at + 1])
  if first then
    local begun = call('ZRANGEBYSCORE', NS .. kind[1], this - first - kind[3], this - last, 'LIMIT', 0, ARGV[6])
    for _, start in ipairs(begun) do
      answer[#answer + 1] = kind[2] .. start
      answer[#answer + 1] = call('HGETALL', NS .. kind[2] .. start)
    end
  end
end
return { make('<d', now), call('HGETALL', NS .. CELLS), answer }
