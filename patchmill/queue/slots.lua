-- Shares the account's slots among the processes that report: one report in, one share out.
--
-- KEYS[1] holds everything, as JSON. ARGV: the report, and the times in milliseconds, both as JSON.
-- A process is held to what it last promised or was last given, whichever is more, until it reports or its
-- lease runs out; so the sum of all that is held passes the limit only after a cut, and then it sinks.

local report = cjson.decode(ARGV[1])
local times = cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local stored = redis.call('GET', KEYS[1])
local state
if stored then
  state = cjson.decode(stored)
else
  -- After a loss of the data, processes that were here before must be heard before anybody is given more.
  local since = now
  if report.mark ~= '' then since = now + times.settle end
  state = {life = clock[1] .. '.' .. clock[2], cuts = 0, grants_from = since, processes = {}}
end

for id, process in pairs(state.processes) do
  if process.ends <= now then state.processes[id] = nil end
end

if report.leaves then
  state.processes[report.id] = nil
else
  state.processes[report.id] = {
    cap = report.cap,
    held = math.max(report.limit, report.used),
    used = report.used,
    urgent = report.urgent_used + report.urgent_waiting,
    bulk = report.used - report.urgent_used + report.bulk_waiting,
    ends = now + times.lease,
  }
end

local all, cap = {}, report.cap
for id, process in pairs(state.processes) do
  process.id, process.target = id, 0
  table.insert(all, process)
  cap = math.min(cap, process.cap)
end
table.sort(all, function(a, b) return a.id < b.id end)

-- The limit: without a cut it is the cap, and it grows back to it step by step.
if state.limit then
  local steps = math.floor((now - state.changed) / times.grow)
  state.limit = state.limit + steps
  state.changed = state.changed + steps * times.grow
  if state.limit >= cap then state.limit = nil end
end
local limit = state.limit or cap
-- Only a call that began after the last cut tells anything about the limit that holds since.
if report.refused == state.life .. ':' .. state.cuts then
  limit = math.max(1, math.floor(limit / 2))
  state.limit, state.changed, state.cuts = limit, now, state.cuts + 1
end

-- Who has nothing comes first and in turns; then who holds most, so that slots move as little as possible.
for position, process in ipairs(all) do
  process.turn = (position + math.floor(now / times.turn)) % #all
end
local function precedes(a, b)
  if (a.target == 0) ~= (b.target == 0) then return a.target == 0 end
  if a.target > 0 and a.held ~= b.held then return a.held > b.held end
  return a.turn < b.turn
end

-- Max-min fair: everybody gets the same until satisfied; what is less than one for each goes by precedence.
local function fill(room, wish)
  local unmet = {}
  for _, process in ipairs(all) do
    process.left = process[wish]
    if process.left > 0 then table.insert(unmet, process) end
  end
  while room > 0 and #unmet > 0 do
    table.sort(unmet, precedes)
    local each = math.max(1, math.floor(room / #unmet))
    local still = {}
    for _, process in ipairs(unmet) do
      local given = math.min(each, process.left, room)
      process.left = process.left - given
      process.target = process.target + given
      room = room - given
      if process.left > 0 then table.insert(still, process) end
    end
    unmet = still
  end
  return room
end
fill(fill(limit, 'urgent'), 'bulk')

local own, held, needed, sought = nil, 0, 0, false
for _, process in ipairs(all) do
  if process.id == report.id then
    own = process
  else
    held = held + process.held
    needed = needed + math.max(process.held, process.target)
    sought = sought or process.target > process.held
  end
end

local share = 0
if own then
  share = math.min(own.target, math.max(0, limit - held))
  -- What nobody else is due stays where it is.
  share = math.max(share, math.min(own.held, limit - needed))
  if now < state.grants_from then share = math.min(share, own.held) end
  own.held = math.max(own.held, share)
end

for _, process in ipairs(all) do
  process.id, process.target, process.turn, process.left = nil, nil, nil, nil
end
redis.call('SET', KEYS[1], cjson.encode(state), 'PX', times.keep)

return cjson.encode({slots = share, limit = limit, mark = state.life .. ':' .. state.cuts, sought = sought})
