// Causal attention with online softmax over pages of codes: y = softmax(scale * q k^T) v, a head at
// a time.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 channels: queries of a sequence, as `work` says, for one head, or one
// query for HEADS heads of a kv head. A block is a page of 64 keys; of a row's scores a lane holds those
// of keys 8 * lane + (0 to 7), of its outputs those channels.
// The rows stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/lanes.wgsl, codes/kv_page.wgsl, codes/kv_read.wgsl and what they expect, PARTS (u32,
// workgroups that share an item of work), ROWS (u32: 1, 2, 4 or 8; 8 where PARTS is more than 1), HEADS
// (u32, at most ROWS; 1 unless items are of one query).

@group(0) @binding(0) var<storage, read> q: array<vec2f>;
@group(0) @binding(1) var<storage, read> k: array<u32>;
@group(0) @binding(2) var<storage, read> v: array<u32>;
@group(0) @binding(3) var<storage, read> block_table: array<u32>;
@group(0) @binding(4) var<storage, read> spans: array<Span>;
@group(0) @binding(5) var<storage, read> work: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

const QUERIES = 8u;
const CHANNELS = 64u;
const LOWEST = -3.4028234e38;

// What a lane knows of one query: sums of its channels, its share of the denominator, the maximum.
struct Query {
  sum: array<vec4f, 2>,
  denominator: f32,
  largest: f32,
}

// Where a lane reads: the first word of a page, a kv head, 8 tokens from the first, the last in use.
struct Place {
  page: u32,
  head: u32,
  first: u32,
  last: u32,
}

// Scales and zero points of 8 tokens.
struct Scales {
  scale: array<vec4f, 2>,
  zero: array<vec4f, 2>,
}

fn halves(a: u32, b: u32) -> vec4f {
  return vec4f(unpack2x16float(a), unpack2x16float(b));
}

// Tokens behind the last hold anything: scale and zero point 0 make them zeros.
fn kept(values: array<vec4f, 2>, at: Place) -> array<vec4f, 2> {
  let token = vec4u(at.first) + vec4u(0u, 1u, 2u, 3u);
  return array(
    select(vec4f(), values[0], token <= vec4u(at.last)),
    select(vec4f(), values[1], token + 4u <= vec4u(at.last)),
  );
}

fn key_scales(at: Place, channel: u32) -> Scales {
  let fixed = array(vec4f(params.key_scale), vec4f(params.key_scale));
  var scales = Scales(fixed, array(vec4f(), vec4f()));
  var i = at.page + scales_at(KEY_BITS, KEY_GROUP, params.kv_heads, at.head, at.first, channel);
  if (!KEY_FIXED) {
    scales.scale = kept(array(halves(k[i], k[i + 1u]), halves(k[i + 2u], k[i + 3u])), at);
  }
  if (!KEY_FIXED && KEY_ZERO != NONE) {
    i += to_zeros(KEY_GROUP, params.kv_heads);
    scales.zero = kept(array(halves(k[i], k[i + 1u]), halves(k[i + 2u], k[i + 3u])), at);
  }
  return scales;
}

fn value_scales(at: Place, channel: u32) -> Scales {
  let fixed = array(vec4f(params.value_scale), vec4f(params.value_scale));
  var scales = Scales(fixed, array(vec4f(), vec4f()));
  var i = at.page +
    scales_at(VALUE_BITS, VALUE_GROUP, params.kv_heads, at.head, at.first, channel);
  if (!VALUE_FIXED) {
    scales.scale = kept(array(halves(v[i], v[i + 1u]), halves(v[i + 2u], v[i + 3u])), at);
  }
  if (!VALUE_FIXED && VALUE_ZERO != NONE) {
    i += to_zeros(VALUE_GROUP, params.kv_heads);
    scales.zero = kept(array(halves(v[i], v[i + 1u]), halves(v[i + 2u], v[i + 3u])), at);
  }
  return scales;
}

fn key_of(at: Place, token: u32, channel: u32, scale: f32, zero: f32) -> array<vec4f, 2> {
  return key(at.page, at.head, min(at.first + token, at.last), channel, vec2f(scale, zero));
}

fn value_of(at: Place, token: u32, channel: u32, scale: f32, zero: f32) -> array<vec4f, 2> {
  return value(at.page, at.head, min(at.first + token, at.last), channel, vec2f(scale, zero));
}

// Channels of 8 keys, 4 and 4: one key a matrix column.
fn keys(at: Place, channel: u32, s: Scales) -> Weights {
  let k0 = key_of(at, 0u, channel, s.scale[0].x, s.zero[0].x);
  let k1 = key_of(at, 1u, channel, s.scale[0].y, s.zero[0].y);
  let k2 = key_of(at, 2u, channel, s.scale[0].z, s.zero[0].z);
  let k3 = key_of(at, 3u, channel, s.scale[0].w, s.zero[0].w);
  let k4 = key_of(at, 4u, channel, s.scale[1].x, s.zero[1].x);
  let k5 = key_of(at, 5u, channel, s.scale[1].y, s.zero[1].y);
  let k6 = key_of(at, 6u, channel, s.scale[1].z, s.zero[1].z);
  let k7 = key_of(at, 7u, channel, s.scale[1].w, s.zero[1].w);
  return Weights(
    array(mat4x4f(k0[0], k1[0], k2[0], k3[0]), mat4x4f(k4[0], k5[0], k6[0], k7[0])),
    array(mat4x4f(k0[1], k1[1], k2[1], k3[1]), mat4x4f(k4[1], k5[1], k6[1], k7[1])),
  );
}

// Values of 8 keys, a lane's 8 channels as 4 and 4: one key a matrix column.
fn values(at: Place, channel: u32, s: Scales) -> Weights {
  let v0 = value_of(at, 0u, channel, s.scale[0].x, s.zero[0].x);
  let v1 = value_of(at, 1u, channel, s.scale[0].y, s.zero[0].y);
  let v2 = value_of(at, 2u, channel, s.scale[0].z, s.zero[0].z);
  let v3 = value_of(at, 3u, channel, s.scale[0].w, s.zero[0].w);
  let v4 = value_of(at, 4u, channel, s.scale[1].x, s.zero[1].x);
  let v5 = value_of(at, 5u, channel, s.scale[1].y, s.zero[1].y);
  let v6 = value_of(at, 6u, channel, s.scale[1].z, s.zero[1].z);
  let v7 = value_of(at, 7u, channel, s.scale[1].w, s.zero[1].w);
  return Weights(
    array(mat4x4f(v0[0], v1[0], v2[0], v3[0]), mat4x4f(v0[1], v1[1], v2[1], v3[1])),
    array(mat4x4f(v4[0], v5[0], v6[0], v7[0]), mat4x4f(v4[1], v5[1], v6[1], v7[1])),
  );
}

// A lane's 2 of the 16 channels from channel d of a row, counted from a query and a head.
fn query(span: Span, index: u32, head: u32, row: u32, d: u32, lane: u32) -> vec2f {
  let at = span.row + min(index + row / HEADS, max(span.queries, 1u) - 1u);
  return q[((at * params.heads + head + row % HEADS) * SIZE + d) / 2u + lane];
}

// What 16 channels give for a lane's keys.
fn products(part: vec2f, a: Weights, b: Weights) -> array<vec4f, 2> {
  return add(first_half(part, a), second_half(part, b));
}

// Hides keys behind the query's own place, and those its window has left.
fn mask(scores: vec4f, first: u32, place: u32) -> vec4f {
  let index = vec4u(first) + vec4u(0u, 1u, 2u, 3u);
  let seen = (index <= vec4u(place)) & (index + params.window > vec4u(place));
  return select(vec4f(LOWEST), scores * params.scale, seen);
}

// Turns scores into weights under the new maximum, and brings the query's sums under it.
fn soften(
  state: ptr<function, Query>,
  scores: array<vec4f, 2>,
  first: u32,
  place: u32,
) -> array<vec4f, 2> {
  let low = mask(scores[0], first, place);
  let high = mask(scores[1], first + 4u, place);
  let most = max(low, high);
  let here = subgroupMax(max(max(most.x, most.y), max(most.z, most.w)));
  let largest = max((*state).largest, here);
  let fade = exp((*state).largest - largest);
  // A query whose keys are all hidden so far would otherwise count them as equals.
  let weights = array(
    select(exp(low - largest), vec4f(), low == vec4f(LOWEST)),
    select(exp(high - largest), vec4f(), high == vec4f(LOWEST)),
  );
  (*state).largest = largest;
  (*state).denominator = (*state).denominator * fade + dot(weights[0] + weights[1], vec4f(1));
  (*state).sum = array((*state).sum[0] * fade, (*state).sum[1] * fade);
  return weights;
}

fn blend(sum: array<vec4f, 2>, weights: array<vec4f, 2>, lane: u32, w: Weights) -> array<vec4f, 2> {
  let low = subgroupShuffle(weights[0], lane);
  let high = subgroupShuffle(weights[1], lane);
  return add(sum, array(w.low[0] * low + w.high[0] * high, w.low[1] * low + w.high[1] * high));
}

fn write(span: Span, index: u32, head: u32, row: u32, channel: u32, state: Query) {
  let scale = 1f / subgroupAdd(state.denominator);
  let query = index + row / HEADS;
  if (query >= span.queries || channel >= SIZE) { return; }
  let at = (((span.row + query) * params.heads + head + row % HEADS) * SIZE + channel) / 4u;
  y[at] = state.sum[0] * scale;
  y[at + 1u] = state.sum[1] * scale;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let item = work[group.x / PARTS];
  let span = spans[item.x];
  let index = item.y + group.x % PARTS * QUERIES;
  if (index >= span.queries) { return; }
  let head = group.y * HEADS;
  let kv_head = head / (params.heads / params.kv_heads);
  let channel = group.z * CHANNELS + 8u * lane;
  let place = span.keys - span.queries + index;
  let end = min(place + QUERIES, span.keys);
  let start = (max(place + 1u, params.window) - params.window) / PAGE * PAGE;
  var q0 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q1 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q2 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q3 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q4 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q5 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q6 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  var q7 = Query(array(vec4f(), vec4f()), 0f, LOWEST);
  for (var block = start; block < end; block += PAGE) {
    let page = block_table[span.table + block / PAGE];
    let last = min(span.keys - 1u - block, PAGE - 1u);
    let mine = Place(page * params.key_words, kv_head, 8u * lane, last);
    var s0 = array(vec4f(), vec4f());
    var s1 = array(vec4f(), vec4f());
    var s2 = array(vec4f(), vec4f());
    var s3 = array(vec4f(), vec4f());
    var s4 = array(vec4f(), vec4f());
    var s5 = array(vec4f(), vec4f());
    var s6 = array(vec4f(), vec4f());
    var s7 = array(vec4f(), vec4f());
    var low = key_scales(mine, 0u);
    var high = low;
    for (var d = 0u; d < SIZE; d += 16u) {
      if (KEY_GROUP < SIZE) {
        low = key_scales(mine, d);
        high = key_scales(mine, d + 8u);
      }
      let a = keys(mine, d, low);
      let b = keys(mine, d + 8u, high);
      s0 = add(s0, products(query(span, index, head, 0u, d, lane), a, b));
      if (ROWS >= 2u) { s1 = add(s1, products(query(span, index, head, 1u, d, lane), a, b)); }
      if (ROWS >= 4u) {
        s2 = add(s2, products(query(span, index, head, 2u, d, lane), a, b));
        s3 = add(s3, products(query(span, index, head, 3u, d, lane), a, b));
      }
      if (ROWS >= 8u) {
        s4 = add(s4, products(query(span, index, head, 4u, d, lane), a, b));
        s5 = add(s5, products(query(span, index, head, 5u, d, lane), a, b));
        s6 = add(s6, products(query(span, index, head, 6u, d, lane), a, b));
        s7 = add(s7, products(query(span, index, head, 7u, d, lane), a, b));
      }
    }
    let first = block + 8u * lane;
    let w0 = soften(&q0, s0, first, place);
    var w1 = array(vec4f(), vec4f());
    var w2 = array(vec4f(), vec4f());
    var w3 = array(vec4f(), vec4f());
    var w4 = array(vec4f(), vec4f());
    var w5 = array(vec4f(), vec4f());
    var w6 = array(vec4f(), vec4f());
    var w7 = array(vec4f(), vec4f());
    if (ROWS >= 2u) { w1 = soften(&q1, s1, first, place + 1u / HEADS); }
    if (ROWS >= 4u) {
      w2 = soften(&q2, s2, first, place + 2u / HEADS);
      w3 = soften(&q3, s3, first, place + 3u / HEADS);
    }
    if (ROWS >= 8u) {
      w4 = soften(&q4, s4, first, place + 4u / HEADS);
      w5 = soften(&q5, s5, first, place + 5u / HEADS);
      w6 = soften(&q6, s6, first, place + 6u / HEADS);
      w7 = soften(&q7, s7, first, place + 7u / HEADS);
    }
    for (var from_lane = 0u; from_lane < LANES; from_lane++) {
      let at = Place(page * params.value_words, kv_head, 8u * from_lane, last);
      let from_channel = min(channel, SIZE - 8u);
      let w = values(at, from_channel, value_scales(at, from_channel));
      q0.sum = blend(q0.sum, w0, from_lane, w);
      if (ROWS >= 2u) { q1.sum = blend(q1.sum, w1, from_lane, w); }
      if (ROWS >= 4u) {
        q2.sum = blend(q2.sum, w2, from_lane, w);
        q3.sum = blend(q3.sum, w3, from_lane, w);
      }
      if (ROWS >= 8u) {
        q4.sum = blend(q4.sum, w4, from_lane, w);
        q5.sum = blend(q5.sum, w5, from_lane, w);
        q6.sum = blend(q6.sum, w6, from_lane, w);
        q7.sum = blend(q7.sum, w7, from_lane, w);
      }
    }
  }
  write(span, index, head, 0u, channel, q0);
  if (ROWS >= 2u) { write(span, index, head, 1u, channel, q1); }
  if (ROWS >= 4u) {
    write(span, index, head, 2u, channel, q2);
    write(span, index, head, 3u, channel, q3);
  }
  if (ROWS >= 8u) {
    write(span, index, head, 4u, channel, q4);
    write(span, index, head, 5u, channel, q5);
    write(span, index, head, 6u, channel, q6);
    write(span, index, head, 7u, channel, q7);
  }
}
