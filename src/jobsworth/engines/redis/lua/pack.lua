-- Put what was looked at in another form. ARGV: now, { { key, field, as it was or false, as it will be or false }, ... }.
-- Nothing is done, and 0 answered, if any of it has changed meanwhile: whoever changed it has done the work.
local changes = cmsgpack.unpack(ARGV[2])
for _, change in ipairs(changes) do
  if call('HGET', NS .. change[1], change[2]) ~= change[3] then return 0 end
end
guard()
for _, change in ipairs(changes) do
  local key, field, value = change[1], change[2], change[4]
  if value then call('HSET', NS .. key, field, value) else call('HDEL', NS .. key, field) end
  local kind, start = string.match(key, '^(.*):(%d+)$')
  if start then
    -- MINUTES_OF and HOURS_OF are the names of these indexes with a colon.
    if value then call('ZADD', NS .. kind, start, start)
    elseif call('EXISTS', NS .. key) == 0 then call('ZREM', NS .. kind, start) end
  end
end
return 1
