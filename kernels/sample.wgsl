// Chooses a token a row: among logits / temperature, less those that top-k, top-p and min-p leave out,
// the largest after adding Gumbel noise, which draws each token with its probability; at temperature 0
// the largest logit. Of equals the first. One workgroup a row.
// The bounds are found by halving the interval of keys: floats as integers in the same order.
// Expects: parts/row_reduce.wgsl, THREADS (u32, a power of two).

struct Params {
  columns: u32,
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

// Integers in the order of the floats.
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn scramble(word: u32) -> u32 {
  // The finalizer of MurmurHash3: every bit of the input reaches every bit of the output.
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

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let first = row * params.columns;
  let ask = settings[row];
  var best = LOWEST;
  var place = NOWHERE;
  for (var c = thread; c < params.columns; c += THREADS) {
    let value = logits[first + c];
    if (value > best || place == NOWHERE) {
      best = value;
      place = c;
    }
  }
  let top = largest(thread, best, place);
  if (ask.temperature == 0f) {
    if (thread == 0u) { tokens[row] = top; }
    return;
  }
  let most = logits[first + top];
  let scale = 1f / ask.temperature;
  var least = 0u;
  if (ask.min_p > 0f) { least = key_of(most + log(ask.min_p) * ask.temperature); }
  let by_count = ask.top_k > 0u && ask.top_k < params.columns;
  if (by_count || ask.top_p < 1f) {
    // Largest bound that leaves enough tokens, and enough of their probability.
    let every = mass(thread, first, 0u, most, scale);
    var low = 0u;
    var high = key_of(most);
    for (var i = 0u; i < HALVINGS; i++) {
      let middle = high - (high - low) / 2u;
      let kept = counted(thread, first, middle);
      if (by_count && kept >= ask.top_k) { low = middle; } else { high = middle - 1u; }
      if (!by_count || low >= high) { break; }
    }
    if (by_count) { least = max(least, low); }
    low = 0u;
    high = key_of(most);
    let within = select(every, mass(thread, first, least, most, scale), by_count);
    for (var i = 0u; i < HALVINGS; i++) {
      if (ask.top_p >= 1f || low >= high) { break; }
      let middle = high - (high - low) / 2u;
      let kept = mass(thread, first, max(middle, least), most, scale);
      if (kept >= ask.top_p * within) { low = middle; } else { high = middle - 1u; }
    }
    if (ask.top_p < 1f) { least = max(least, low); }
  }
  best = LOWEST;
  place = NOWHERE;
  for (var c = thread; c < params.columns; c += THREADS) {
    let value = logits[first + c];
    if (key_of(value) < least) { continue; }
    let drawn = (value - most) * scale + noise(ask.seed, ask.step, c);
    if (drawn > best || place == NOWHERE) {
      best = drawn;
      place = c;
    }
  }
  let chosen = largest(thread, best, place);
  if (thread == 0u) { tokens[row] = chosen; }
}

// Tokens with keys from a bound on.
fn counted(thread: u32, first: u32, bound: u32) -> u32 {
  var count = 0u;
  for (var c = thread; c < params.columns; c += THREADS) {
    count += u32(key_of(logits[first + c]) >= bound);
  }
  // Exact: a vocabulary has fewer than 2^24 tokens.
  return u32(total(thread, f32(count)));
}

// Their probability, in units of the likeliest one's.
fn mass(thread: u32, first: u32, bound: u32, most: f32, scale: f32) -> f32 {
  var sum = 0f;
  for (var c = thread; c < params.columns; c += THREADS) {
    let value = logits[first + c];
    if (key_of(value) >= bound) { sum += exp((value - most) * scale); }
  }
  return total(thread, sum);
}
