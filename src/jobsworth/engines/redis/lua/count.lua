-- How runs end. A cell counts runs of one minute that ended alike: `minute/way/run/wait/queue/task` of CELLS, how many;
-- the same with a + behind it, the microseconds they took together. See statistics.py.
local cells, took_together = {}, {}

-- The bucket of a duration, and from where to where that reaches.
local function bucket(seconds)
  local bounds, low, high = { BOUNDS }, 0, BUCKETS - 1
  if seconds ~= seconds then seconds = 0 end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if seconds < bounds[middle + 1] then high = middle else low = middle + 1 end
  end
  return low, bounds[low] or -math.huge, bounds[low + 1] or math.huge
end

local function count(way, run, wait, queue, task, runs, took)
  local name = way .. '/' .. run .. '/' .. wait .. '/' .. queue .. '/' .. task
  cells[name] = (cells[name] or 0) + runs
  took_together[name] = (took_together[name] or 0) + took
end

local function flush_cells()
  local minute = format('%.0f/', math.floor(now / 60))
  for name, runs in pairs(cells) do
    call('HINCRBY', NS .. CELLS, minute .. name, runs)
    call('HINCRBY', NS .. CELLS, minute .. name .. '+', format('%.0f', took_together[name] * 1000000))
  end
end
