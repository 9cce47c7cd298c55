-- What every script begins with. KEYS[1] is the prefix of all keys; ARGV[1] the moment, '' for the server's own clock.
local NS = KEYS[1]
local call, make, take, sub, format, spread = redis.call, struct.pack, struct.unpack, string.sub, string.format, unpack
local NONE = 0 / 0  -- a moment that is not set: neither before nor after any other
local MOST = 3000  -- values per command: Lua's stack is not endless

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1000000
end
local now_text = format('%.17g', now)  -- all of it: what Lua itself makes of a number is rounded

-- Runs a command on a long list of values, some at a time. `MOST` must be a multiple of how many belong together.
local function in_parts(command, key, values)
  local size = #values
  if size <= MOST then
    call(command, key, spread(values))
  else
    for at = 1, size, MOST do call(command, key, spread(values, at, math.min(at + MOST - 1, size))) end
  end
end

-- The values of many keys at once.
local function get_all(keys)
  local size = #keys
  if size == 0 then return keys end
  if size <= MOST then return call('MGET', spread(keys)) end
  local values = {}
  for at = 1, size, MOST do
    local last = math.min(at + MOST - 1, size)
    local part = call('MGET', spread(keys, at, last))
    for i = at, last do values[i] = part[i - at + 1] end
  end
  return values
end

-- Commands that need memory are refused when Redis is full, others are not, and a script is not undone. So whatever
-- writes begins with one that needs memory: it is refused whole or not at all.
local function guard() call('INCRBY', NS .. FENCE, 0) end
