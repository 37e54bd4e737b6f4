// What the log-probabilities of a row are made of: the largest logit, the sum of exponentials under
// it, and the logits of the token given and of the `count` likeliest ones (of equals the first
// token first).
// For the software adapter, which pays for barriers: a workgroup is one subgroup of 8 lanes and
// has a row.
// Expects: parts/float_keys.wgsl, parts/row_lanes.wgsl and what it expects.

struct Params {
  columns: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<vec4f>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> likeliest: array<u32>;
@group(0) @binding(4) var<storage, read_write> norms: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

fn exponentials(row: Row, at: u32) -> vec4f {
  return exp(quad_at(row, at) - row.largest);
}

// Sums of chunks summed: fewer roundings than one sum.
fn sum_of_exponentials(lane: u32, row: Row) -> f32 {
  var sum = vec4f();
  for (var chunk = 0u; chunk < row.chunks; chunk++) {
    var here = vec4f();
    let end = (chunk + 1u) * CHUNK * LANES;
    for (var at = chunk * CHUNK * LANES + lane; at < end; at += STRIDE) {
      here += exponentials(row, at) + exponentials(row, at + 1u * LANES);
      here += exponentials(row, at + 2u * LANES) + exponentials(row, at + 3u * LANES);
      here += exponentials(row, at + 4u * LANES) + exponentials(row, at + 5u * LANES);
      here += exponentials(row, at + 6u * LANES) + exponentials(row, at + 7u * LANES);
    }
    sum += here;
  }
  return subgroupAdd(dot(sum, vec4f(1)));
}

// A logit and whose it is.
struct Score {
  value: f32,
  token: u32,
}

// The best logits of columns 0 to 3 of quads.
struct Best {
  value: vec4f,
  token: vec4u,
}

// The better ones of four and four others, where those come behind the last one.
fn improve(best: ptr<function, Best>, last: Score, values: vec4f, tokens: vec4u, given: bool) {
  let same = (values == vec4f(last.value)) & (tokens > vec4u(last.token));
  let behind = (values < vec4f(last.value)) | same | vec4<bool>(last.token == NOWHERE);
  let better = (values > (*best).value) | ((*best).token == vec4u(NOWHERE));
  let takes = behind & better & vec4<bool>(given);
  (*best).value = select((*best).value, values, takes);
  (*best).token = select((*best).token, tokens, takes);
}

fn improve_at(best: ptr<function, Best>, last: Score, row: Row, at: u32) {
  improve(best, last, quad_at(row, at), 4u * at + vec4u(0, 1, 2, 3), at < row.quads);
}

// The best score behind the last one, among those held or in the row.
fn next(lane: u32, row: Row, held: Held, by_row: bool, last: Score) -> Score {
  var best = Best(vec4f(LOWEST), vec4u(NOWHERE));
  for (var i = 0u; i < select(held.count, 0u, by_row); i++) {
    let token = kept_columns[i * LANES + lane];
    let value = kept[(MOST_CHUNKS + i) * LANES + lane];
    improve(&best, last, vec4f(value), vec4u(token), true);
  }
  for (var at = lane; at < select(0u, row.quads, by_row); at += STRIDE) {
    improve_at(&best, last, row, at);
    improve_at(&best, last, row, at + 1u * LANES);
    improve_at(&best, last, row, at + 2u * LANES);
    improve_at(&best, last, row, at + 3u * LANES);
    improve_at(&best, last, row, at + 4u * LANES);
    improve_at(&best, last, row, at + 5u * LANES);
    improve_at(&best, last, row, at + 6u * LANES);
    improve_at(&best, last, row, at + 7u * LANES);
  }
  let values = select(vec4f(LOWEST), best.value, best.token != vec4u(NOWHERE));
  let value = subgroupMax(max(max(values.x, values.y), max(values.z, values.w)));
  let same = select(vec4u(NOWHERE), best.token, values == vec4f(value));
  return Score(value, subgroupMin(min(min(same.x, same.y), min(same.z, same.w))));
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = survey(lane, group.x, params.columns, 1f);
  let sum = sum_of_exponentials(lane, row);
  var held = Held(HIGHEST, HIGHEST, 0u);
  let low = bound_of(lane, row, params.count, 1f, &held);
  let by_row = !(held.low <= low && held.high == HIGHEST);
  let width = params.count + 1u;
  var score = Score(HIGHEST, NOWHERE);
  for (var i = 0u; i < params.count; i++) {
    score = next(lane, row, held, by_row, score);
    if (lane == 0u) {
      scores[group.x * width + 1u + i] = score.value;
      likeliest[group.x * width + 1u + i] = min(score.token, params.columns - 1u);
    }
  }
  if (lane == 0u) {
    let token = min(tokens[group.x], params.columns - 1u);
    norms[group.x] = vec2f(row.largest, sum);
    scores[group.x * width] = logits[row.first + token / 4u][token % 4u];
    likeliest[group.x * width] = tokens[group.x];
  }
}
