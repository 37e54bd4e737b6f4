// What the log-probabilities of a row are made of: the largest logit, the sum of exponentials under it,
// and the logits of the token given and of the `count` likeliest ones, which are found one after
// another as the largest logit behind the last one (of equals the first token first). One workgroup a
// row.
// Expects: parts/row_reduce.wgsl, place_of_most() as parts/row_shared.wgsl has it, THREADS (u32, a power of two).

struct Params {
  columns: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> likeliest: array<u32>;
@group(0) @binding(4) var<storage, read_write> norms: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

// The largest logit behind a place: smaller, or as large and of a later token.
fn next(thread: u32, first: u32, behind: f32, token: u32) -> u32 {
  var best = LOWEST;
  var place = NOWHERE;
  for (var c = thread; c < params.columns; c += THREADS) {
    let value = logits[first + c];
    let later = token == NOWHERE || value < behind || (value == behind && c > token);
    if (later && (value > best || place == NOWHERE)) {
      best = value;
      place = c;
    }
  }
  return place_of_most(thread, best, place);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let first = row * params.columns;
  let top = next(thread, first, LOWEST, NOWHERE);
  let most = logits[first + top];
  var sum = 0f;
  for (var c = thread; c < params.columns; c += THREADS) { sum += exp(logits[first + c] - most); }
  let all = total(thread, sum);
  let width = params.count + 1u;
  if (thread == 0u) {
    norms[row] = vec2f(most, all);
    scores[row * width] = logits[first + min(tokens[row], params.columns - 1u)];
    likeliest[row * width] = tokens[row];
  }
  var token = top;
  for (var i = 0u; i < params.count; i++) {
    if (i > 0u) { token = next(thread, first, logits[first + token], token); }
    if (thread == 0u) {
      scores[row * width + 1u + i] = logits[first + token];
      likeliest[row * width + 1u + i] = token;
    }
  }
}
