-- Forget the jobs named that no worker holds. ARGV: now, states that may be deleted, { member, version or nil, owner or
-- nil, tags } each. Answers for each: 1 deleted, 0 left alone, 2 it has changed since it was looked at.
-- Every command here gives memory back, so it works where memory has run out.
local may, gone, answers = cmsgpack.unpack(ARGV[2]), {}, {}
local open_page = math.floor((tonumber(call('GET', NS .. SEQ)) or 0) / BOOK_PAGE)  -- more may be written on it

local function strike_out(place)
  local page = math.floor(place / BOOK_PAGE)
  call('HDEL', NS .. BOOK .. page, place % BOOK_PAGE)
  if page < open_page and call('EXISTS', NS .. BOOK .. page) == 0 then call('ZREM', NS .. BOOKS, page) end
end

local function forget(id, member, job, item)
  leave(job, member)
  gone[#gone + 1] = NS .. JOB .. id
  if has(job.flags, APART) then gone[#gone + 1] = NS .. ARGS .. id end
  if has(job.flags, HISTORY) then gone[#gone + 1] = NS .. PAST .. id end
  gone[#gone + 1] = NS .. LOGS .. id
  if job.key ~= '' and job.state < COMPLETED then call('HDEL', NS .. UNIQUE, job.task .. '/' .. job.key) end
  if item[3] then remove(NS .. OWNER .. item[3], member) end
  for _, tag in ipairs(item[4]) do remove(NS .. TAG .. tag, member) end
  strike_out(tonumber(job.place))
end

for i, item in ipairs(cmsgpack.unpack(ARGV[3])) do
  local member = item[1]
  local id = sub(member, PLACE + 1)
  local record = call('GET', NS .. JOB .. id)
  local job = is_sound(record) and open_rest(open(record))
  answers[i] = 0
  if job and job.place == sub(member, 1, PLACE) and may[job.state + 1] then
    if item[2] and item[2] ~= job.version then
      answers[i] = 2
    else
      forget(id, member, job, item)
      answers[i] = 1
    end
  end
end
for at = 1, #gone, MOST do call('DEL', spread(gone, at, math.min(at + MOST - 1, #gone))) end
flush()
return answers
