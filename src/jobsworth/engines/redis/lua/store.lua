-- New jobs. A group is of jobs that differ by their ids and arguments only:
-- { count, queue, task, priority, max_attempts, delay, run_at, expires, expires_at, key, max_size, failure, owner, tags }
-- In ARGV from `at`: what more there is to the jobs of the group, then an id and arguments for each.

-- Which of these ids are known; nil if none, which is the common case and costs one command.
local function known_among(groups, at)
  local keys, ids = {}, {}
  for _, group in ipairs(groups) do
    for i = 1, group[1] do
      local id = ARGV[at + 2 * i - 1]
      ids[#ids + 1] = id
      keys[#keys + 1] = NS .. JOB .. id
    end
    at = at + 1 + 2 * group[1]
  end
  local found = 0
  for first = 1, #keys, MOST do
    found = found + call('EXISTS', spread(keys, first, math.min(first + MOST - 1, #keys)))
  end
  if found == 0 then return nil end
  local known = {}
  for i = 1, #ids do known[ids[i]] = call('EXISTS', keys[i]) == 1 end
  return known
end

local function waiting(queue)
  local number = call('ZCARD', NS .. DUE .. queue)
  for _, mark in ipairs(call('SMEMBERS', NS .. TASKS .. queue)) do
    if sub(mark, 1, 1) == '!' then
      number = number + call('ZCARD', NS .. HURT .. queue .. '/' .. sub(mark, 2))
    else
      number = number + call('ZCARD', NS .. LINE .. queue .. '/' .. mark)
    end
  end
  return number
end

-- Which jobs of a batch are new. Fills `receipts`: '' for a new job, else the id of the one that is there.
local function sort_out(groups, at, receipts)
  local known, mine, keys, chosen = known_among(groups, at), {}, {}, {}
  for _, group in ipairs(groups) do
    local key = group[10] and not group[12] and group[3] .. '/' .. group[10]
    for i = 1, group[1] do
      local id = ARGV[at + 2 * i - 1]
      local there = (mine[id] or fresh[id] or (known and known[id])) and id
      if not there and key then there = keys[key] or call('HGET', NS .. UNIQUE, key) end
      if not there then
        mine[id] = true
        if key then keys[key] = id end
        chosen[#chosen + 1] = { group, id, ARGV[at + 2 * i], ARGV[at] }
      end
      receipts[#receipts + 1] = there or ''
    end
    at = at + 1 + 2 * group[1]
  end
  return chosen, at
end

-- What is wrong if the new jobs exceed the room of their queue: { queue, waiting, more, room }.
local function too_many(chosen)
  local more, room = {}, {}
  for _, new in ipairs(chosen) do
    local group = new[1]
    local queue = group[2]
    if not group[12] then
      more[queue] = (more[queue] or 0) + 1
      if group[11] then room[queue] = math.min(group[11], room[queue] or group[11]) end
    end
  end
  for queue, size in pairs(room) do
    local number = waiting(queue)
    if number + more[queue] > size then return { queue, number, more[queue], size } end
  end
end

-- What the jobs of a group have in common: their state, the moment they are due, and both heads of the record.
local function mould(group)
  local queue, task, failure, run_at = group[2], group[3], group[12] or '', group[7]
  local due = math.max(now, run_at or now + group[6])
  local state = group[12] and FAILED or due > now and SCHEDULED or QUEUED
  local expires = group[8] and now + group[8] or group[9] or NONE
  local key = group[10] or ''
  local function hot(flags)
    return make(HOT, state, FORM, flags, 0, 0, 0, 0, 0, now, due, NONE, state == FAILED and now or NONE,
      0, 0, 0, #failure, 0) .. failure
  end
  local function cold(nmore, nargs)
    return make(COLD, #queue, #task, #key, nmore, nargs, group[4], group[5], now, expires, NONE)
      .. queue .. task .. key
  end
  return state, due, hot, cold
end

local function list_by_name(group, member)
  if group[13] then add(NS .. OWNER .. group[13], 0, member) end
  if group[14] then
    for _, tag in ipairs(group[14]) do add(NS .. TAG .. tag, 0, member) end
  end
end

-- Every job in order of creation, a page at a time.
local function book(first, chosen)
  local at = 1
  while at <= #chosen do
    local place = first + at - 1
    local page, entries = math.floor(place / BOOK_PAGE), {}
    repeat
      entries[#entries + 1] = place % BOOK_PAGE
      entries[#entries + 1] = chosen[at][2]
      at, place = at + 1, place + 1
    until at > #chosen or place % BOOK_PAGE == 0
    call('HSET', NS .. BOOK .. page, spread(entries))
    if entries[1] == 0 then call('ZADD', NS .. BOOKS, page, page) end
  end
end

local function create(chosen)
  local first = call('INCRBY', NS .. SEQ, #chosen) - #chosen
  local group, state, due, hot, cold, head, tail, size
  for i, new in ipairs(chosen) do
    if new[1] ~= group then
      group = new[1]
      state, due, hot, cold = mould(group)
      head, size = hot(0), nil
      call('SADD', NS .. QUEUES, group[2])
    end
    local id, args, more = new[2], new[3], new[4]
    local place = format('%012.0f', first + i - 1)
    local member = place .. id
    if #args ~= size then tail, size = cold(#more, #args), #args end
    if #args + #more > INLINE then
      call('SET', NS .. ARGS .. id, more .. args)
      write(id, hot(APART) .. place .. tail)
    else
      write(id, head .. place .. tail .. more .. args)
    end
    if state == QUEUED then
      stand_in_line(group[2], group[3], 0, group[4], member)
    elseif state == SCHEDULED then
      wait_until(group[2], due, member)
    else
      finish(state, group[2], now, member)
    end
    if group[10] and state ~= FAILED then call('HSET', NS .. UNIQUE, group[3] .. '/' .. group[10], id) end
    if group[13] or group[14] then list_by_name(group, member) end
  end
  book(first, chosen)
end
