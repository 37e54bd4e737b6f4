// Causal attention with online softmax over pages of codes: y = softmax(scale * q k^T) v, a head at
// a time.
// For graphics processors: a workgroup of 128 threads makes 16 queries of a sequence, as `work` says,
// for one head and stages the values of KEYS keys, then those of their values, in workgroup memory; 8 threads share a query.
// Expects: parts/kv_page.wgsl, parts/kv_read.wgsl and what they expect, KEYS (u32, a multiple of 8
// that divides a page).

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<u32>;
@group(0) @binding(2) var<storage, read> v: array<u32>;
@group(0) @binding(3) var<storage, read> block_table: array<u32>;
@group(0) @binding(4) var<storage, read> spans: array<Span>;
@group(0) @binding(5) var<storage, read> work: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

const QUERIES = 16u;
const SHARE = 8u;
const THREADS = QUERIES * SHARE;
const QUADS = SIZE / 4u;
const OCTETS = SIZE / 8u;
const MINE = (QUADS + SHARE - 1u) / SHARE;
const SCORES = KEYS / SHARE;
// One more than the quads of a head keeps neighbouring rows out of each other's banks.
const STRIDE = QUADS + 1u;
const LOWEST = -3.4028234e38;

var<workgroup> q_tile: array<vec4f, QUERIES * STRIDE>;
var<workgroup> kv_tile: array<vec4f, KEYS * STRIDE>;
var<workgroup> weights: array<f32, QUERIES * (KEYS + 1u)>;

fn stage(row: u32, octet: u32, channels: array<vec4f, 2>) {
  kv_tile[row * STRIDE + 2u * octet] = channels[0];
  kv_tile[row * STRIDE + 2u * octet + 1u] = channels[1];
}

fn stage_keys(span: Span, block: u32, head: u32, thread: u32) {
  let page = block_table[span.table + block / PAGE] * params.key_words;
  for (var i = thread; i < KEYS * OCTETS; i += THREADS) {
    let token = min(block + i / OCTETS, span.keys - 1u) % PAGE;
    let channel = 8u * (i % OCTETS);
    let scale = key_scale(page, head, token, channel);
    stage(i / OCTETS, i % OCTETS, key(page, head, token, channel, scale));
  }
}

fn stage_values(span: Span, block: u32, head: u32, thread: u32) {
  let page = block_table[span.table + block / PAGE] * params.value_words;
  for (var i = thread; i < KEYS * OCTETS; i += THREADS) {
    let token = min(block + i / OCTETS, span.keys - 1u) % PAGE;
    let channel = 8u * (i % OCTETS);
    let scale = value_scale(page, head, token, channel);
    stage(i / OCTETS, i % OCTETS, value(page, head, token, channel, scale));
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = spans[work[group.x].x];
  let first = work[group.x].y;
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let row = thread / SHARE;
  let part = thread % SHARE;
  let offset = span.keys - span.queries;
  let place = offset + first + row;
  let end = min(offset + first + QUERIES, span.keys);
  let start = (max(offset + first + 1u, params.window) - params.window) / KEYS * KEYS;
  for (var i = thread; i < QUERIES * QUADS; i += THREADS) {
    let index = span.row + min(first + i / QUADS, max(span.queries, 1u) - 1u);
    q_tile[i / QUADS * STRIDE + i % QUADS] = q[(index * params.heads + head) * QUADS + i % QUADS];
  }
  var sum: array<vec4f, MINE>;
  var denominator = 0f;
  var largest = LOWEST;
  for (var block = start; block < end; block += KEYS) {
    workgroupBarrier();
    stage_keys(span, block, kv_head, thread);
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
      let at = part + SHARE * i;
      let index = block + at;
      var score = 0f;
      for (var d = 0u; d < QUADS; d++) {
        score += dot(q_tile[row * STRIDE + d], kv_tile[at * STRIDE + d]);
      }
      let seen = index <= place && index + params.window > place;
      weights[row * (KEYS + 1u) + at] = select(LOWEST, score * params.scale, seen);
    }
    workgroupBarrier();
    var higher = largest;
    for (var i = 0u; i < KEYS; i++) { higher = max(higher, weights[row * (KEYS + 1u) + i]); }
    let fade = exp(largest - higher);
    largest = higher;
    denominator *= fade;
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
      let at = row * (KEYS + 1u) + part + SHARE * i;
      // A query whose keys are all hidden so far would otherwise count them as equals.
      let weight = select(exp(weights[at] - largest), 0f, weights[at] == LOWEST);
      weights[at] = weight;
      denominator += weight;
    }
    stage_values(span, block, kv_head, thread);
    workgroupBarrier();
    for (var c = 0u; c < MINE; c++) { sum[c] *= fade; }
    for (var i = 0u; i < KEYS; i++) {
      let weight = weights[row * (KEYS + 1u) + i];
      for (var c = 0u; c < MINE; c++) {
        sum[c] += weight * kv_tile[i * STRIDE + min(part + SHARE * c, QUADS - 1u)];
      }
    }
  }
  workgroupBarrier();
  weights[thread] = denominator;
  workgroupBarrier();
  var total = 0f;
  for (var i = 0u; i < SHARE; i++) { total += weights[row * SHARE + i]; }
  if (first + row >= span.queries) { return; }
  let index = span.row + first + row;
  for (var c = 0u; c < MINE; c++) {
    let quad = part + SHARE * c;
    if (quad < QUADS) { y[(index * params.heads + head) * QUADS + quad] = sum[c] / total; }
  }
}
