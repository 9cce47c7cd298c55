local refused = {}

-- The common ending: the handler returned, and there is nothing else to say.
local function settle_plain(number, at)
  local keys, held, ended, size = {}, {}, {}, #written
  for i = 1, number do keys[i] = NS .. JOB .. ARGV[at + 3 * i - 3] end
  local records = get_all(keys)
  for i = 1, number do
    local id, given, result = ARGV[at + 3 * i - 3], tonumber(ARGV[at + 3 * i - 2]), ARGV[at + 3 * i - 1]
    local record = records[i]
    local state, form, flags, fence, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
      nprogress, nresult, nfailure, nreason
    if is_sound(record) then
      state, form, flags, fence, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
        nprogress, nresult, nfailure, nreason = take(HOT, record)
    end
    local at_failure, at_rest
    if fence == given and (state == RUNNING or state == CANCELLING) then
      at_failure = HOT_SIZE + nworker + nprogress + nresult
      at_rest = at_failure + nfailure + nreason
    end
    if at_rest and #record >= at_rest + COLD_SIZE then
      local nqueue, ntask, nkey = take('<HHH', record, at_rest + PLACE + 1)
      local at_queue = at_rest + COLD_SIZE
      local member = sub(record, at_rest + 1, at_rest + PLACE) .. id
      local queue = sub(record, at_queue + 1, at_queue + nqueue)
      written[size + 1] = keys[i]
      written[size + 2] = make(HOT, COMPLETED, FORM, bit.bor(flags, RESULT), fence, version + 1, attempt, errors,
        crashes, now, run_at, started, now, nworker, nprogress, #result, 0, nreason)
        .. sub(record, HOT_SIZE + 1, HOT_SIZE + nworker + nprogress) .. result
        .. sub(record, at_failure + nfailure + 1)
      size = size + 2
      held[#held + 1] = member
      local list = ended[queue]
      if not list then list = {}; ended[queue] = list end
      local last = #list
      list[last + 1], list[last + 2] = now_text, member
      if nkey > 0 then
        local at_task = at_queue + nqueue
        call('HDEL', NS .. UNIQUE, sub(record, at_task + 1, at_task + ntask) .. '/'
          .. sub(record, at_task + ntask + 1, at_task + ntask + nkey))
      end
    else
      refused[#refused + 1] = id
    end
  end
  if #held > 0 then removed[NS .. HELD] = held end
  for queue, members in pairs(ended) do added[NS .. DONE .. COMPLETED .. ':' .. queue] = members end
end
