// Chooses a token a row: among logits / temperature, less those that top-k, top-p and min-p leave
// out, the largest after adding Gumbel noise, which draws each token with its probability; at
// temperature 0 the largest logit. Of equals the first.
// For the software adapter, which pays for barriers: a workgroup is one subgroup of 8 lanes and
// has a row.
// Expects: parts/float_keys.wgsl, parts/sampling.wgsl, parts/row_lanes.wgsl and what it expects.

struct Params {
  columns: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<vec4f>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

// The largest draws of columns 0 to 3 of quads, and their tokens.
struct Drawn {
  best: vec4f,
  token: vec4u,
}

fn draw(drawn: ptr<function, Drawn>, row: Row, at: u32, ask: Settings, least: f32) {
  let quad = quad_at(row, at);
  let tokens = 4u * at + vec4u(0, 1, 2, 3);
  let value = (quad - row.largest) * row.scale + noise(ask.seed, ask.step, tokens);
  let better = (quad >= vec4f(select(HIGHEST, least, at < row.quads))) & (value > (*drawn).best);
  (*drawn).best = select((*drawn).best, value, better);
  (*drawn).token = select((*drawn).token, tokens, better);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let ask = settings[group.x];
  let row = survey(lane, group.x, params.columns, 1f / ask.temperature);
  if (ask.temperature == 0f) {
    let token = place_of_largest(lane, row);
    if (lane == 0u) { tokens[group.x] = token; }
    return;
  }
  let by_count = ask.top_k > 0u && ask.top_k < params.columns;
  var held = Held(HIGHEST, HIGHEST, 0u);
  var least = bound_of(lane, row, select(0u, ask.top_k, by_count), ask.top_p, &held);
  let restricted = by_count || ask.top_p < 1f || ask.min_p > 0f;
  if (ask.min_p > 0f) { least = max(least, row.largest + log(ask.min_p) * ask.temperature); }
  var by_row = !(held.low <= least && held.high == HIGHEST);
  if (by_row && ask.min_p > 0f) {
    held = collect(lane, row, least, HIGHEST);
    by_row = held.low != least;
  }
  if (!restricted) { least = LOWEST; }
  var best = LOWEST;
  var place = NOWHERE;
  for (var i = 0u; i < select(held.count, 0u, by_row); i++) {
    let value = kept[(MOST_CHUNKS + i) * LANES + lane];
    let token = kept_columns[i * LANES + lane];
    let drawn = (value - row.largest) * row.scale + noise(ask.seed, ask.step, vec4u(token)).x;
    if (value >= least && drawn > best) {
      best = drawn;
      place = token;
    }
  }
  var drawn = Drawn(vec4f(LOWEST), vec4u(NOWHERE));
  for (var at = lane; at < select(0u, row.quads, by_row); at += STRIDE) {
    draw(&drawn, row, at, ask, least);
    draw(&drawn, row, at + 1u * LANES, ask, least);
    draw(&drawn, row, at + 2u * LANES, ask, least);
    draw(&drawn, row, at + 3u * LANES, ask, least);
    draw(&drawn, row, at + 4u * LANES, ask, least);
    draw(&drawn, row, at + 5u * LANES, ask, least);
    draw(&drawn, row, at + 6u * LANES, ask, least);
    draw(&drawn, row, at + 7u * LANES, ask, least);
  }
  let mine = best;
  best = max(best, max(max(drawn.best.x, drawn.best.y), max(drawn.best.z, drawn.best.w)));
  best = subgroupMax(best);
  let same = select(vec4u(NOWHERE), drawn.token, drawn.best == vec4f(best));
  place = select(NOWHERE, place, mine == best);
  let chosen = subgroupMin(min(place, min(min(same.x, same.y), min(same.z, same.w))));
  if (lane == 0u) { tokens[group.x] = select(chosen, 0u, chosen == NOWHERE); }
}
