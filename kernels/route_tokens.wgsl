// The largest values of the softmax of a row of scores and their places, found one after another as the
// largest score behind the last one (of equals the first one first). One workgroup a row.
// Expects: parts/row_reduce.wgsl, place_of_most() as parts/row_shared.wgsl has it, THREADS (u32, a power of two), NORMALIZED (bool, what is chosen adds
// up to 1).

struct Params {
  columns: u32,
  count: u32,
  chosen: u32,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> experts: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

// The largest score behind a place: smaller, or as large and of a later expert.
fn next(thread: u32, first: u32, behind: f32, expert: u32) -> u32 {
  var best = LOWEST;
  var place = NOWHERE;
  for (var c = thread; c < params.count; c += THREADS) {
    let value = scores[first + c];
    let later = expert == NOWHERE || value < behind || (value == behind && c > expert);
    if (later && (value > best || place == NOWHERE)) {
      best = value;
      place = c;
    }
  }
  return min(place_of_most(thread, best, place), params.count - 1u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * params.columns;
  let to = group.x * params.chosen;
  let top = next(thread, first, LOWEST, NOWHERE);
  let most = scores[first + top];
  var part = 0f;
  for (var c = thread; c < params.count; c += THREADS) { part += exp(scores[first + c] - most); }
  var all = total(thread, part);
  var expert = top;
  var together = 0f;
  for (var i = 0u; i < params.chosen; i++) {
    if (i > 0u) { expert = next(thread, first, scores[first + expert], expert); }
    let weight = exp(scores[first + expert] - most);
    together += weight;
    if (thread == 0u) {
      weights[to + i] = weight;
      experts[to + i] = expert;
    }
  }
  if (NORMALIZED) { all = together; }
  if (thread == 0u) {
    for (var i = 0u; i < params.chosen; i++) { weights[to + i] /= all; }
  }
}
