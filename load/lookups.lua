-- Lookups for wrk: wrk -s load/lookups.lua URL -- KIND IDS
--   known    orders that are there, at random
--   unknown  well-formed ids that nobody has: each is looked up in Postgres
--   page     the HTML page of an order that is there
--   mix      80 known, 10 unknown and 10 pages of a hundred
-- IDS is a file with an id a line. The last line that is printed is JSON: requests a second, two
-- percentiles in microseconds, and the number of answers that were not as they must be.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  kind, unknown = args[1], 0
  base = wrk.path:gsub("/$", "")
  math.randomseed(os.time() * 100 + number)
  orders, pages = {}, {}
  for id in io.lines(args[2]) do
    orders[#orders + 1] = wrk.format("GET", base .. "/api/v1/orders/" .. id)
    pages[#pages + 1] = wrk.format("GET", base .. "/orders/" .. id, { Accept = "text/html", Host = wrk.headers.Host })
  end
end

local function of_nobody()
  unknown = unknown + 1
  local digits = {}
  for part = 1, 4 do
    digits[part] = string.format("%04x", math.random(0, 65535))
  end
  return wrk.format("GET", base .. "/api/v1/orders/" .. table.concat(digits) .. "load")
end

function request()
  local draw = kind == "mix" and math.random(100) or 0
  if kind == "unknown" or draw > 90 then
    return of_nobody()
  end
  local from = (kind == "page" or draw > 80) and pages or orders
  return from[math.random(#from)]
end

function done(summary, latency)
  local absent = 0
  for _, thread in ipairs(threads) do
    absent = absent + thread:get("unknown")
  end
  -- 404 is the right answer for an id that nobody has, but wrk counts it as an error. Of what was
  -- asked for last no answer is counted, so that as many others may be taken for one.
  local errors = summary.errors
  local wrong = math.max(0, errors.status - absent)
  wrong = wrong + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"requests_per_second":%.0f,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), wrong))
end
