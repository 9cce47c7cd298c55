-- Due jobs move into line, so many per turn, so that a million due at once hold nobody up.
local function promote()
  local first = call('ZRANGE', NS .. DUES, 0, 0, 'WITHSCORES')
  local left = PROMOTED
  while first[1] and tonumber(first[2]) <= now and left > 0 do
    local queue = first[1]
    local members = call('ZRANGEBYSCORE', NS .. DUE .. queue, '-inf', now_text, 'LIMIT', 0, left)
    local keys = {}
    for i, member in ipairs(members) do keys[i] = NS .. JOB .. sub(member, PLACE + 1) end
    for i, record in ipairs(get_all(keys)) do
      local job = is_sound(record) and open_rest(open(record))
      if job then
        job.state, job.version, job.updated = QUEUED, job.version + 1, now
        write(sub(members[i], PLACE + 1), shut(job))
        enter(job, members[i])
      else
        finish(FAILED, queue, now, members[i])  -- damaged: shown as what it is
      end
      remove(NS .. DUE .. queue, members[i])
    end
    touched[queue] = true
    guard()
    flush()
    if #members == 0 then break end
    left = left - #members
    first = call('ZRANGE', NS .. DUES, 0, 0, 'WITHSCORES')
  end
  if not first[1] then return '' end
  return format('%.17g', math.max(0, first[2] - now))
end
