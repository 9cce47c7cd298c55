local worker, lease = ARGV[2], tonumber(ARGV[3])

-- The lines of the wanted tasks that somebody stands in.
local function lines_of(queue, tasks, mark, suffix)
  local found = {}
  if #tasks > 3 then
    local there = {}
    for _, each in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do there[each] = true end
    for _, task in ipairs(tasks) do
      if there[mark .. task] then found[#found + 1] = NS .. suffix .. queue .. '/' .. task end
    end
  else
    for i, task in ipairs(tasks) do found[i] = NS .. suffix .. queue .. '/' .. task end
  end
  return found
end

local function before(score, member, other_score, other_member)
  return score < other_score or (score == other_score and member < other_member)
end

-- The first `limit` of several lines, in order: members, and for each its line and its score.
local function first_of(keys, limit)
  local members, lines, scores, heads, step = {}, {}, {}, {}, math.min(limit, math.ceil(2 * limit / #keys) + 1)
  local function fill(head)
    head.list = call('ZRANGE', head.key, head.from, head.from + step - 1, 'WITHSCORES')
    head.at, head.from = 1, head.from + step
    head.score = head.list[2] and tonumber(head.list[2])
    return head.score
  end
  for _, key in ipairs(keys) do
    local head = { key = key, from = 0 }
    if fill(head) then heads[#heads + 1] = head end
  end
  while #members < limit and #heads > 0 do
    local best = 1
    for i = 2, #heads do
      local head, leader = heads[i], heads[best]
      if before(head.score, head.list[head.at], leader.score, leader.list[leader.at]) then best = i end
    end
    local head, at = heads[best], #members + 1
    members[at], lines[at], scores[at] = head.list[head.at], head.key, head.score
    head.at = head.at + 2
    head.score = head.list[head.at + 1] and tonumber(head.list[head.at + 1])
    if not head.score and not (#head.list == 2 * step and fill(head)) then table.remove(heads, best) end
  end
  return members, lines, scores
end

local given, crashed_given = {}, false

-- Who is next in line, and which of them comes from which line; lines are left as they are where there is but one.
local function pick(queue, limit, tasks, crashed)
  local hurt, hurt_lines, hurt_scores = {}, nil, nil
  if crashed and not crashed_given then
    local keys = lines_of(queue, tasks, '!', HURT)
    if #keys > 0 then hurt, hurt_lines, hurt_scores = first_of(keys, 1) end
  end
  local keys = lines_of(queue, tasks, '', LINE)
  if #hurt == 0 and #keys == 1 then return call('ZRANGE', keys[1], 0, limit - 1), nil, keys[1] end
  local members, lines, scores = {}, {}, {}
  if limit > #hurt and #keys > 0 then members, lines, scores = first_of(keys, limit - #hurt) end
  if #hurt > 0 then
    crashed_given = true
    local at = 1
    while members[at] and before(scores[at], members[at], hurt_scores[1], hurt[1]) do at = at + 1 end
    table.insert(members, at, hurt[1])
    table.insert(lines, at, hurt_lines[1])
  end
  return members, lines
end

-- Give these out, in this order.
local function hand_out(queue, members, lines, line)
  local number = #members
  local fence = call('INCRBY', NS .. FENCE, number) - number
  if line then call('ZREMRANGEBYRANK', line, 0, number - 1) end
  local keys, held, until_then, size = {}, added[NS .. HELD] or {}, held_until(now + lease), #written
  for i = 1, number do
    keys[i] = NS .. JOB .. sub(members[i], PLACE + 1)
    if lines then remove(lines[i], members[i]) end
  end
  local records, at = get_all(keys), #given
  for i = 1, number do
    local member, record = members[i], records[i]
    if is_sound(record) then
      local state, form, flags, old, version, attempt, errors, crashes, updated, run_at, started, finished, nworker,
        nprogress, nresult, nfailure, nreason = take(HOT, record)
      -- All but the last worker and its progress is kept.
      record = make(HOT, RUNNING, FORM, flags, fence + i, version + 1, attempt + 1, errors, crashes, now, run_at, now,
        finished, #worker, 0, nresult, nfailure, nreason) .. worker .. sub(record, HOT_SIZE + nworker + nprogress + 1)
      written[size + 1], written[size + 2] = keys[i], record
      size = size + 2
      local last = #held
      held[last + 1], held[last + 2] = until_then, member
      if flags >= APART and has(flags, APART) then record = whole(sub(member, PLACE + 1), record, flags) end
      given[at + 1], given[at + 2] = member, record
      at = at + 2
    else
      finish(FAILED, queue, now_text, member)  -- damaged: it must not stop the others, and is shown as what it is
    end
  end
  if #held > 0 then added[NS .. HELD] = held end
  if lines then flush() end  -- the next want must not find them in line again
end
