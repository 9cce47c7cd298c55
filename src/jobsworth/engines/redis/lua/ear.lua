-- What the holders of leases must know. `told` is { id, fence, ... } each; `visit` is called for those that still hold.
local function hear(told, visit)
  local keys, cancelled, lost = {}, {}, {}
  for i, each in ipairs(told) do keys[i] = NS .. JOB .. each[1] end
  for i, record in ipairs(get_all(keys)) do
    local id = told[i][1]
    local state, fence, job
    if is_sound(record) then state, fence = string.byte(record, 1), take('<d', record, FENCE_AT + 1) end
    if state == CANCELLING then job = open_rest(open(record)) end
    if fence == told[i][2] and (state == RUNNING or job) then
      if job then
        local grace = job.grace == job.grace and format('%.17g', job.grace) or ''
        cancelled[#cancelled + 1] = { id, has(job.flags, REASON) and 1 or 0, job.reason, grace }
      end
      if visit then visit(told[i], record) end
    else
      lost[#lost + 1] = id
    end
  end
  return { cancelled, lost }
end
