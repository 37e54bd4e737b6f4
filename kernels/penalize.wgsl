// Logits of a row with some tokens' changed: divided (positive) or multiplied (others) by the row's
// repetition penalty where they came before, then lowered by the penalties of presence and frequency,
// then raised by their bias; and those that may not be chosen put far below all others. One workgroup a
// row; the rest is copied.
// Expects: THREADS (u32), SOME (bool: whether `allowed` is there).

struct Params {
  columns: u32,
}

// A row's share of the entries, and its penalties.
struct Row {
  first: u32,
  count: u32,
  repetition: f32,
  presence: f32,
  frequency: f32,
}

// A token, whether it came before (in the prompt or after), how often it was generated, its bias.
struct Entry {
  token: u32,
  seen: u32,
  times: u32,
  bias: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> entries: array<Entry>;
// A bit a token, a row after the other.
@group(0) @binding(3) var<storage, read> allowed: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

// What a token gets that may not be chosen.
const FORBIDDEN = -1e30f;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * params.columns;
  for (var c = thread; c < params.columns; c += THREADS) { y[first + c] = logits[first + c]; }
  storageBarrier();
  let row = rows[group.x];
  for (var i = thread; i < row.count; i += THREADS) {
    let entry = entries[row.first + i];
    if (entry.token >= params.columns) { continue; }
    var value = logits[first + entry.token];
    if (entry.seen > 0u) {
      value = select(value * row.repetition, value / row.repetition, value > 0f);
    }
    if (entry.times > 0u) { value -= row.presence + f32(entry.times) * row.frequency; }
    y[first + entry.token] = value + entry.bias;
  }
  if (!SOME) { return; }
  storageBarrier();
  let words = (params.columns + 31u) / 32u;
  for (var c = thread; c < params.columns; c += THREADS) {
    let word = allowed[group.x * words + c / 32u];
    if (((word >> (c % 32u)) & 1u) == 0u) { y[first + c] = FORBIDDEN; }
  }
}
