-- A job's record taken apart and put together. The layout is told in record.py, which fills in HOT, COLD and the rest.
local function is_sound(record)
  return record and #record >= HOT_SIZE + COLD_SIZE and string.byte(record, 2) == FORM
end

-- A moment as HELD keeps it: whole microseconds, which Redis stores and compares more cheaply.
local function held_until(when) return format('%.0f', math.floor(when * 1000000 + 0.5)) end

local function has(flags, flag) return bit.band(flags, flag) ~= 0 end

-- The record as readers need it: with the part that is kept elsewhere.
local function whole(id, record, flags)
  if has(flags, APART) then return record .. (call('GET', NS .. ARGS .. id) or '') end
  return record
end
