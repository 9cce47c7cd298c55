-- A turn as it mostly is: all endings are plain and nothing is due. It is turn.lua without what it takes to do more, for
-- every function that a script makes costs every call of it. Takes and answers the same; nothing at all if something
-- is due: then nothing was done, and turn.lua has to do it.
local first = call('ZRANGE', NS .. DUES, 0, 0, 'WITHSCORES')
if first[1] and tonumber(first[2]) <= now then return false end
local plain = tonumber(ARGV[5])
if plain > 0 then
  guard()
  settle_plain(plain, 6)
  flush_cells()
end
for _, want in ipairs(cmsgpack.unpack(ARGV[4])) do
  local queue, limit = want[1], want[2]
  if limit > 0 and call('HGET', NS .. SETTINGS, queue) ~= '1' then
    local members, lines, line = pick(queue, limit, want[3], want[4])
    if #members > 0 then hand_out(queue, members, lines, line) end
  end
end
flush()
return { first[1] and format('%.17g', first[2] - now) or '', refused, given }
