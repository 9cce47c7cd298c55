-- ARGV[2]: batches of groups (store.lua); then the jobs. Answers, per batch, its number of jobs if all of them are new,
-- else a receipt for each; or {{ queue, waiting, more, room }}: then nothing of that batch is stored.
local at, answers = 3, {}
for number, groups in ipairs(cmsgpack.unpack(ARGV[2])) do
  local receipts, chosen = {}, nil
  chosen, at = sort_out(groups, at, receipts)
  local full = too_many(chosen)
  if full then
    answers[number] = { full }
  else
    if #chosen > 0 then
      create(chosen)
      flush()  -- the next batch counts who waits
    end
    answers[number] = #chosen == #receipts and #receipts or receipts
  end
end
return answers
