-- Renew leases, store progress, keep the worker's card. ARGV: now, lease, worker, its card, { id, fence, progress } each.
guard()
local lease, worker = tonumber(ARGV[2]), ARGV[3]
local until_then = held_until(now + lease)
local known = call('HGET', NS .. CARDS, worker)
local started = now
if known and #known >= 24 then started = take('<d', known) end
call('HSET', NS .. CARDS, worker, make('<ddd', started, now, now + CARD_LEASES * lease) .. ARGV[4])

local heard = hear(cmsgpack.unpack(ARGV[5]), function(sign, record)
  local job = open(fresh[sign[1]] or record)
  add(NS .. HELD, until_then, sub(job.rest, 1, PLACE) .. sign[1])
  if sign[3] then
    job.progress, job.version, job.updated = sign[3], job.version + 1, now
    write(sign[1], shut(job))
  end
end)
flush()
return heard
