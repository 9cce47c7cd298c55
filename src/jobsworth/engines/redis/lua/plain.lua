local refused = {}

-- The common ending: the handler returned, and there is nothing else to say.
local function settle_plain(number, at)
  local keys, held, ended, size = {}, {}, {}, #written
  for i = 1, number do keys[i] = NS .. JOB .. ARGV[at + 3 * i - 3] end
  local records = get_all(keys)
  -- Jobs that end together are mostly of one cell: those of the last one are counted here, `run` and `wait` with their reach.
  local runs, took_all, its_queue, its_task = 0, 0, nil, nil
  local run, run_from, run_to, wait, wait_from, wait_to = 0, 1, 0, 0, 1, 0
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
      local at_task = at_queue + nqueue
      local task = sub(record, at_task + 1, at_task + ntask)
      if nkey > 0 then
        call('HDEL', NS .. UNIQUE, task .. '/' .. sub(record, at_task + ntask + 1, at_task + ntask + nkey))
      end
      local took, waited = now - started, started - run_at
      if not (took >= run_from and took < run_to and waited >= wait_from and waited < wait_to
          and task == its_task and queue == its_queue) then
        if runs > 0 then count(0, run, wait, its_queue, its_task, runs, took_all) end
        runs, took_all, its_queue, its_task = 0, 0, queue, task
        run, run_from, run_to = bucket(took)
        wait, wait_from, wait_to = bucket(waited)
      end
      runs = runs + 1
      if took > 0 then took_all = took_all + took end
    else
      refused[#refused + 1] = id
    end
  end
  if runs > 0 then count(0, run, wait, its_queue, its_task, runs, took_all) end
  if #held > 0 then removed[NS .. HELD] = held end
  for queue, members in pairs(ended) do added[NS .. DONE .. COMPLETED .. ':' .. queue] = members end
end
