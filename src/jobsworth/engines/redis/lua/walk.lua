-- The next members in order of creation. ARGV: now, an OWNER's or TAG's name or '' for the book, 1 if the newest come
-- first, the place to go on from (it is not given again; '' to begin), how many at least. Fewer are the last.
local source, newest, from, number = ARGV[2], ARGV[3] == '1', ARGV[4], tonumber(ARGV[5])

if source ~= '' then
  if newest then
    return call('ZREVRANGEBYLEX', NS .. source, from == '' and '+' or '(' .. from, '-', 'LIMIT', 0, number)
  end
  -- Beyond every member of that place: ids are UTF-8, in which this byte does not occur.
  return call('ZRANGEBYLEX', NS .. source, from == '' and '-' or '(' .. from .. '\255', '+', 'LIMIT', 0, number)
end

local function page_of(page)
  local entries, members = call('HGETALL', NS .. BOOK .. page), {}
  for i = 1, #entries, 2 do
    local place = format('%012.0f', page * BOOK_PAGE + entries[i])
    if from == '' or (newest and place < from) or (not newest and place > from) then
      members[#members + 1] = place .. entries[i + 1]
    end
  end
  table.sort(members, newest and function(one, other) return one > other end or nil)
  return members
end

-- Some pages at a time, until there is enough. A page may be half empty, or gone.
local found = {}
local at = from ~= '' and math.floor(from / BOOK_PAGE) or newest and '+inf' or '-inf'
while #found < number do
  local pages
  if newest then
    pages = call('ZREVRANGEBYSCORE', NS .. BOOKS, at, '-inf', 'LIMIT', 0, 8)
  else
    pages = call('ZRANGEBYSCORE', NS .. BOOKS, at, '+inf', 'LIMIT', 0, 8)
  end
  for _, page in ipairs(pages) do
    for _, member in ipairs(page_of(page)) do found[#found + 1] = member end
    at = '(' .. page
  end
  if #pages < 8 then break end
end
return found
