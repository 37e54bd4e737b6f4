// What one subgroup of 8 lanes finds out about a row without a barrier: its largest value, and the
// bound that leaves so many values, or such a share of their softmax.
// A lane reads quads of columns in chunks and remembers the largest value of each, so that the
// values from a bound on are found without reading all others. What a lane remembers and holds
// stands in workgroup memory, in places that no other lane touches.
// The driver skips no branch, only loops that have ended: hence loops of no turns. It ends all
// loops of an invocation after 65,535 turns together: a turn over the row takes 8 quads of each
// lane, so that 2^18 columns take 62,000 in the worst case, two searches among equals.
// Expects: parts/float_keys.wgsl, CHUNK (u32, quads of a lane's chunk, at most MOST_CHUNKS chunks a
// lane), `logits` (array of vec4f).

const LANES = 8u;
const LOWEST = -3.4028234e38;
const HIGHEST = 3.4028234e38;
const NOWHERE = 0xffffffffu;
// Quads of all lanes in a turn of a loop.
const STRIDE = 8u * LANES;

const MOST_CHUNKS = 128u;
const MOST_HELD = 256u;
// So many a lane holds, wherever they are in a turn of 16 columns.
const SURE_TO_HOLD = MOST_HELD - 16u;
// So many values lanes are likely to hold together: not each has equally many.
const LIKELY_TO_HOLD = 1280f;
// e^-104 is 0.
const FAR = 104f;
// A round leaves a quarter of the interval: of the floats first, which are where values are; then
// of their keys, of which 17 rounds leave one.
const EVEN_ROUNDS = 4u;
const ROUNDS = 22u;

// Largest values of chunks, then values held.
var<workgroup> kept: array<f32, (MOST_CHUNKS + MOST_HELD) * LANES>;
var<workgroup> kept_columns: array<u32, MOST_HELD * LANES>;
var<workgroup> marked: array<u32, MOST_CHUNKS * LANES>;

struct Row {
  first: u32,
  quads: u32,
  chunks: u32,
  // Chunks of all lanes that have columns.
  filled: u32,
  largest: f32,
  smallest: f32,
  // Of the logits under the exponential.
  scale: f32,
}

// The values from `low` on and below `high` that the lanes hold, `count` of them this one.
struct Held {
  low: f32,
  high: f32,
  count: u32,
}

// What there is from each of four bounds on: values, and their exponentials under the largest one.
struct Tally {
  count: vec4f,
  mass: vec4f,
}

// What is wanted from a bound on: so many values, or a share of the exponentials from `low` on.
struct Wanted {
  low: f32,
  count: f32,
  // So many values more will do.
  slack: f32,
  share: f32,
  by_mass: bool,
  // Of the largest values of chunks instead of all values.
  of_chunks: bool,
  // Few values are from `low` on.
  few: bool,
}

// Raises the largest values by a quad of the row, and lowers the smallest by it.
fn include(row: Row, at: u32, most: ptr<function, vec4f>, least: ptr<function, vec4f>) {
  let quad = logits[row.first + min(at, row.quads - 1u)];
  *most = max(*most, select(vec4f(LOWEST), quad, at < row.quads));
  *least = min(*least, quad);
}

// The driver compiles a shader anew at every launch, and keeps it, where a loop's turns follow from a
// uniform alone; this one comes from lane 0, which it cannot foresee.
fn unforeseen(lane: u32, value: u32) -> u32 {
  return subgroupAdd(select(0u, value, lane == 0u));
}

fn survey(lane: u32, group: u32, columns: u32, scale: f32) -> Row {
  let quads = unforeseen(lane, columns) / 4u;
  let span = CHUNK * LANES;
  let chunks = (quads + span - 1u) / span;
  let filled = (chunks - 1u) * LANES + min(quads - (chunks - 1u) * span, LANES);
  var row = Row(group * quads, quads, chunks, filled, LOWEST, HIGHEST, scale);
  var most = vec4f(LOWEST);
  var least = vec4f(HIGHEST);
  for (var chunk = 0u; chunk < chunks; chunk++) {
    var here = vec4f(LOWEST);
    for (var at = chunk * span + lane; at < (chunk + 1u) * span; at += STRIDE) {
      include(row, at, &here, &least);
      include(row, at + 1u * LANES, &here, &least);
      include(row, at + 2u * LANES, &here, &least);
      include(row, at + 3u * LANES, &here, &least);
      include(row, at + 4u * LANES, &here, &least);
      include(row, at + 5u * LANES, &here, &least);
      include(row, at + 6u * LANES, &here, &least);
      include(row, at + 7u * LANES, &here, &least);
    }
    kept[chunk * LANES + lane] = max(max(here.x, here.y), max(here.z, here.w));
    most = max(most, here);
  }
  row.largest = subgroupMax(max(max(most.x, most.y), max(most.z, most.w)));
  row.smallest = max(LOWEST, subgroupMin(min(min(least.x, least.y), min(least.z, least.w))));
  return row;
}

// A quad of the row; behind its end what no bound lets in.
fn quad_at(row: Row, at: u32) -> vec4f {
  return select(vec4f(LOWEST), logits[row.first + min(at, row.quads - 1u)], at < row.quads);
}

// The first column that has the largest value.
fn place_of_largest(lane: u32, row: Row) -> u32 {
  var chunk = 0u;
  while (chunk < row.chunks && kept[chunk * LANES + lane] != row.largest) { chunk++; }
  var at = chunk * CHUNK * LANES + lane;
  let end = min((chunk + 1u) * CHUNK * LANES, row.quads);
  while (at < end && all(logits[row.first + at] != vec4f(row.largest))) { at += LANES; }
  var place = NOWHERE;
  if (at < end) {
    let same = logits[row.first + at] == vec4f(row.largest);
    place = 4u * at + select(select(select(3u, 2u, same.z), 1u, same.y), 0u, same.x);
  }
  place = subgroupMin(place);
  return select(place, 0u, place == NOWHERE);
}

fn hold(lane: u32, value: f32, column: u32, low: f32, high: f32, count: ptr<function, u32>) {
  if (value >= low && value < high) {
    kept[(MOST_CHUNKS + *count) * LANES + lane] = value;
    kept_columns[*count * LANES + lane] = column;
    *count += 1u;
  }
}

fn hold_quad(lane: u32, row: Row, at: u32, low: f32, below: f32, count: ptr<function, u32>) {
  let quad = quad_at(row, at);
  let high = select(low, below, at < row.quads);
  hold(lane, quad.x, 4u * at, low, high, count);
  hold(lane, quad.y, 4u * at + 1u, low, high, count);
  hold(lane, quad.z, 4u * at + 2u, low, high, count);
  hold(lane, quad.w, 4u * at + 3u, low, high, count);
}

// Holds the values from `low` on and below `high`; nothing where a lane has too many of them.
fn collect(lane: u32, row: Row, low: f32, high: f32) -> Held {
  var count = 0u;
  for (var chunk = 0u; chunk < row.chunks; chunk++) {
    if (kept[chunk * LANES + lane] >= low) {
      marked[count * LANES + lane] = chunk;
      count++;
    }
  }
  var mine = 0u;
  for (var i = 0u; i < count && mine <= MOST_HELD; i++) {
    let chunk = marked[i * LANES + lane];
    let end = min((chunk + 1u) * CHUNK * LANES, row.quads);
    for (var at = chunk * CHUNK * LANES + lane; at < end; at += 4u * LANES) {
      if (mine > SURE_TO_HOLD) { mine = MOST_HELD + 1u; break; }
      hold_quad(lane, row, at, low, high, &mine);
      hold_quad(lane, row, at + 1u * LANES, low, high, &mine);
      hold_quad(lane, row, at + 2u * LANES, low, high, &mine);
      hold_quad(lane, row, at + 3u * LANES, low, high, &mine);
    }
  }
  if (subgroupMax(mine) > MOST_HELD) { return Held(HIGHEST, HIGHEST, 0u); }
  return Held(low, high, mine);
}

fn add(tally: ptr<function, Tally>, value: f32, mass: f32, bounds: vec4f) {
  let inside = vec4f(value) >= bounds;
  (*tally).count += select(vec4f(), vec4f(1), inside);
  (*tally).mass += select(vec4f(), vec4f(mass), inside);
}

fn add_quad(tally: ptr<function, Tally>, row: Row, at: u32, bounds: vec4f) {
  let quad = quad_at(row, at);
  let mass = exp((quad - row.largest) * row.scale);
  add(tally, quad.x, mass.x, bounds);
  add(tally, quad.y, mass.y, bounds);
  add(tally, quad.z, mass.z, bounds);
  add(tally, quad.w, mass.w, bounds);
}

// Of `count` values of a lane kept from a place on, or of the whole row.
fn tally(lane: u32, row: Row, kept_from: u32, count: u32, whole: bool, bounds: vec4f) -> Tally {
  var sum = Tally();
  for (var i = 0u; i < count; i++) {
    let value = kept[(kept_from + i) * LANES + lane];
    add(&sum, value, exp((value - row.largest) * row.scale), bounds);
  }
  let end = select(0u, row.quads, whole);
  for (var at = lane; at < end; at += STRIDE) {
    add_quad(&sum, row, at, bounds);
    add_quad(&sum, row, at + 1u * LANES, bounds);
    add_quad(&sum, row, at + 2u * LANES, bounds);
    add_quad(&sum, row, at + 3u * LANES, bounds);
    add_quad(&sum, row, at + 4u * LANES, bounds);
    add_quad(&sum, row, at + 5u * LANES, bounds);
    add_quad(&sum, row, at + 6u * LANES, bounds);
    add_quad(&sum, row, at + 7u * LANES, bounds);
  }
  return Tally(subgroupAdd(sum.count), subgroupAdd(sum.mass));
}

// Four bounds from the interval of a bound: evenly over its floats, or over their keys.
fn bounds_between(low: f32, high: f32, by_key: bool) -> vec4f {
  var bounds = high - (high - low) * vec4f(0.25, 0.5, 0.75, 1);
  if (by_key) {
    let most = key_of(high);
    let keys = most - key_of(low);
    bounds.x = value_of(most - keys / 4u);
    bounds.y = value_of(most - keys / 2u);
    bounds.z = value_of(most - keys + (keys + 3u) / 4u);
  }
  bounds.w = low;
  return bounds;
}

// The largest bound that leaves what is wanted, where the one it begins at does. What `held` has
// when it ends is of use to the next search.
fn bound_for(lane: u32, row: Row, wanted: Wanted, held: ptr<function, Held>) -> f32 {
  // Enough is from `low` on, too little from `high` on: `over` values and their exponentials.
  var low = wanted.low;
  var high = HIGHEST;
  var over = vec2f();
  var count = select(HIGHEST, 0f, wanted.few);
  var amount = select(wanted.count, -1f, wanted.by_mass);
  var whole = !wanted.of_chunks && !((*held).low <= low && (*held).high == HIGHEST);
  var holdable = LIKELY_TO_HOLD;
  // What is from the end of the values held on.
  var beyond = vec2f();
  for (var round = 0u; round < ROUNDS; round++) {
    if (whole && count - over.x <= holdable) {
      let all = count <= holdable;
      *held = collect(lane, row, low, select(high, HIGHEST, all));
      whole = (*held).low != low;
      beyond = select(over, vec2f(), all);
      count = select(count, HIGHEST, whole);
      holdable = f32(SURE_TO_HOLD);
    }
    let ceiling = min(high, row.largest);
    let bounds = bounds_between(low, ceiling, round >= EVEN_ROUNDS);
    let kept_from = select(MOST_CHUNKS, 0u, wanted.of_chunks);
    let kept_count = select(select((*held).count, row.chunks, wanted.of_chunks), 0u, whole);
    let sum = tally(lane, row, kept_from, kept_count, whole, bounds);
    let counts = sum.count + select(beyond.x, 0f, whole);
    let masses = sum.mass + select(beyond.y, 0f, whole);
    let amounts = select(counts, masses, wanted.by_mass);
    if (amount < 0f) { amount = wanted.share * amounts.w; }
    count = counts.w;
    let enough = amounts >= vec4f(amount);
    if (enough.x) {
      low = bounds.x;
      count = counts.x;
    } else if (enough.y) {
      low = bounds.y;
      count = counts.y;
      high = bounds.x;
      over = vec2f(counts.x, masses.x);
    } else if (enough.z) {
      low = bounds.z;
      count = counts.z;
      high = bounds.y;
      over = vec2f(counts.y, masses.y);
    } else {
      high = bounds.z;
      over = vec2f(counts.z, masses.z);
    }
    // One value between the bounds: it stays, and without it too little would.
    if (count - over.x <= 1f || (!wanted.by_mass && count <= amount + wanted.slack)) { break; }
    if (low >= row.largest || (high < HIGHEST && key_of(high) - key_of(low) <= 1u)) { break; }
  }
  return low;
}

// The largest bound that leaves so many values (0 for all), and such a share of their exponentials.
// As many chunks have a value from a bound on: as many values or more, which is where the search
// begins.
fn bound_of(lane: u32, row: Row, count: u32, share: f32, held: ptr<function, Held>) -> f32 {
  let by_chunks = 2u * count <= row.filled;
  let wanted = f32(count);
  let begin = select(select(1u, 0u, by_chunks), 2u, count == 0u);
  var low = row.smallest;
  for (var stage = begin; stage < select(2u, 3u, share < 1f); stage++) {
    if (stage == 2u) { low = max(low, row.largest - FAR / row.scale); }
    let slack = select(0f, 0.5 * wanted + 16f, stage == 0u);
    let few = stage == 1u && by_chunks;
    let asked = Wanted(low, wanted, slack, share, stage == 2u, stage == 0u, few);
    low = bound_for(lane, row, asked, held);
  }
  return low;
}
