// Chooses a token a row: among logits / temperature, less those that top-k, top-p and min-p leave out,
// the largest after adding Gumbel noise, which draws each token with its probability; at temperature 0
// the largest logit. Of equals the first. One workgroup a row.
// The bounds are found by halving the interval of keys (floats as integers in the same order) over the
// logits near the largest one, or over all where those are not enough.
// Expects: parts/row_reduce.wgsl, place_of_most() and count_of() as parts/row_shared.wgsl has them, THREADS (u32, a power of two).

struct Params {
  columns: u32,
  // Tokens below which one is chosen; at most as many as there are columns.
  choices: u32,
}

// What a row asks for; floats as their bits.
struct Settings {
  temperature: f32,
  top_k: u32,
  top_p: f32,
  min_p: f32,
  seed: u32,
  step: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const HALVINGS = 32u;
// Natural logarithm: tokens below e^-12 of the likeliest one are rarely wanted.
const NEAR = 12f;
const MOST_NEAR = 2048u;
const TIGHTENINGS = 4u;

var<workgroup> near: array<f32, MOST_NEAR>;
var<workgroup> counts: array<u32, THREADS>;
var<workgroup> found: u32;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let first = row * params.columns;
  let ask = settings[row];
  var best = LOWEST;
  var place = NOWHERE;
  for (var c = thread; c < params.choices; c += THREADS) {
    let value = logits[first + c];
    if (value > best || place == NOWHERE) {
      best = value;
      place = c;
    }
  }
  let top = place_of_most(thread, best, place);
  if (ask.temperature == 0f) {
    if (thread == 0u) { tokens[row] = top; }
    return;
  }
  let most = logits[first + top];
  let scale = 1f / ask.temperature;
  let by_count = ask.top_k > 0u && ask.top_k < params.choices;
  var least = 0u;
  if (by_count || ask.top_p < 1f) {
    // Top-p is of what top-k leaves: of all tokens where that leaves all.
    let every = mass(thread, Part(first, params.choices, false), 0u, most, scale);
    var part = near_part(thread, first, most, ask.temperature);
    if (by_count) {
      if (part.count < ask.top_k) { part = Part(first, params.choices, false); }
      least = count_bound(thread, part, most, ask.top_k);
    } else if (mass(thread, part, 0u, most, scale) < ask.top_p * every) {
      part = Part(first, params.choices, false);
    }
    if (ask.top_p < 1f) {
      var within = every;
      if (by_count) { within = mass(thread, part, least, most, scale); }
      least = max(least, mass_bound(thread, part, least, most, scale, ask.top_p * within));
    }
  }
  if (ask.min_p > 0f) { least = max(least, key_of(most + log(ask.min_p) * ask.temperature)); }
  best = LOWEST;
  place = NOWHERE;
  for (var c = thread; c < params.choices; c += THREADS) {
    let value = logits[first + c];
    if (key_of(value) < least) { continue; }
    let drawn = (value - most) * scale + noise(ask.seed, ask.step, c);
    if (drawn > best || place == NOWHERE) {
      best = drawn;
      place = c;
    }
  }
  let chosen = place_of_most(thread, best, place);
  if (thread == 0u) { tokens[row] = chosen; }
}

// The logits that are looked at: so many, in `near` or in the row that begins at `first`.
struct Part {
  first: u32,
  count: u32,
  near: bool,
}

fn logit_of(part: Part, i: u32) -> f32 {
  if (part.near) { return near[i]; }
  return logits[part.first + i];
}

// Collects the logits near the largest one, fewer where they are too many; each thread's own stand
// together, in order. All where even the nearest are too many.
fn near_part(thread: u32, first: u32, most: f32, temperature: f32) -> Part {
  var distance = NEAR * temperature;
  for (var i = 0u; i < TIGHTENINGS; i++) {
    var mine = 0u;
    for (var c = thread; c < params.choices; c += THREADS) {
      mine += u32(logits[first + c] >= most - distance);
    }
    counts[thread] = mine;
    workgroupBarrier();
    var at = 0u;
    for (var other = 0u; other < thread; other++) { at += counts[other]; }
    if (thread == THREADS - 1u) { found = at + mine; }
    let all = workgroupUniformLoad(&found);
    if (all <= MOST_NEAR) {
      for (var c = thread; c < params.choices; c += THREADS) {
        let value = logits[first + c];
        if (value >= most - distance) {
          near[at] = value;
          at++;
        }
      }
      workgroupBarrier();
      return Part(first, all, true);
    }
    distance /= 2f;
  }
  return Part(first, params.choices, false);
}

// The largest key that leaves so many tokens.
fn count_bound(thread: u32, part: Part, most: f32, wanted: u32) -> u32 {
  var low = 0u;
  var high = key_of(most);
  for (var i = 0u; i < HALVINGS; i++) {
    let middle = high - (high - low) / 2u;
    let kept = counted(thread, part, middle);
    if (kept >= wanted) { low = middle; } else { high = middle - 1u; }
    if (kept == wanted || low >= high) { break; }
  }
  return low;
}

// The largest key that leaves so much of the probability.
fn mass_bound(thread: u32, part: Part, from_key: u32, most: f32, scale: f32, wanted: f32) -> u32 {
  var low = from_key;
  var high = key_of(most);
  for (var i = 0u; i < HALVINGS; i++) {
    if (low >= high) { break; }
    let middle = high - (high - low) / 2u;
    if (mass(thread, part, middle, most, scale) >= wanted) {
      low = middle;
    } else {
      high = middle - 1u;
    }
  }
  return low;
}

// Tokens of a part with keys from a bound on.
fn counted(thread: u32, part: Part, bound: u32) -> u32 {
  var count = 0u;
  for (var i = thread; i < part.count; i += THREADS) {
    count += u32(key_of(logit_of(part, i)) >= bound);
  }
  return u32(count_of(thread, i32(count)));
}

// Their probability, in units of the likeliest one's.
fn mass(thread: u32, part: Part, bound: u32, most: f32, scale: f32) -> f32 {
  var sum = 0f;
  for (var i = thread; i < part.count; i += THREADS) {
    let value = logit_of(part, i);
    if (key_of(value) >= bound) { sum += exp((value - most) * scale); }
  }
  return total(thread, sum);
}

// An integer in the order of the floats, so that halving an interval of them ends. Both zeros have one
// key, for they are equal.
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if (bits == 0x80000000u) { return bits; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

// The finalizer of MurmurHash3: every bit of the input reaches every bit of the output.
fn scramble(word: u32) -> u32 {
  var h = word;
  h = (h ^ (h >> 16u)) * 0x85ebca6bu;
  h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
  return h ^ (h >> 16u);
}

// Gumbel noise of a token, the same for the same seed and step whatever else is in the batch.
fn noise(seed: u32, step: u32, token: u32) -> f32 {
  let word = scramble(scramble(scramble(seed) ^ step) + token * 0x9e3779b9u);
  // 23 bits and a half: never 0, never 1.
  let uniform_value = (f32(word >> 9u) + 0.5) / 8388608f;
  return -log(-log(uniform_value));
}
