-- What a script changes is collected here and written by flush(), a command per key and not one per job.
local written, fresh = {}, {}  -- key, value, ...; id -> the record as it will be
local added, removed = {}, {}

local function write(id, record)
  fresh[id] = record
  written[#written + 1] = NS .. JOB .. id
  written[#written + 1] = record
end

local function add(key, score, member)
  local list = added[key]
  if not list then list = {}; added[key] = list end
  local size = #list
  list[size + 1] = score
  list[size + 2] = member
end

local function remove(key, member)
  local list = removed[key]
  if not list then list = {}; removed[key] = list end
  list[#list + 1] = member
end

local function finish(state, queue, finished, member)
  add(NS .. DONE .. state .. ':' .. queue, finished, member)
end

local function flush()
  if #written > 0 then
    local size = #written
    for at = 1, size, MOST do call('MSET', spread(written, at, math.min(at + MOST - 1, size))) end
    written = {}
  end
  for key, members in pairs(removed) do in_parts('ZREM', key, members) end
  for key, members in pairs(added) do in_parts('ZADD', key, members) end
  added, removed = {}, {}
end
