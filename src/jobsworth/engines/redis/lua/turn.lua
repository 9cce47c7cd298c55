-- The whole of a turn, see also brisk.lua. Write down every ending, move due jobs into line, bring the next jobs.
-- ARGV: now, worker, lease, wants, number of plain endings, for each: id, fence, result; then, if there are any,
-- the other endings, followed by their results and the jobs that are sent on (store.lua), which they name by place.
-- Answers { seconds until the next job is due or '', refused ids, { member, record, ... } }.
local plain = tonumber(ARGV[5])
local others = ARGV[6 + 3 * plain]
if plain > 0 or others then
  guard()
  if plain > 0 then settle_plain(plain, 6) end
  if others then
    settle_all(cmsgpack.unpack(others))
  end
  flush()
  flush_cells()
end
local due = promote()
for _, want in ipairs(cmsgpack.unpack(ARGV[4])) do
  local queue, limit = want[1], want[2]
  if limit > 0 and call('HGET', NS .. SETTINGS, queue) ~= '1' then
    local members, lines, line = pick(queue, limit, want[3], want[4])
    if #members > 0 then hand_out(queue, members, lines, line) end
  end
end
flush()
return { due, refused, given }
