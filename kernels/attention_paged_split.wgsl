// Causal attention with online softmax over pages of codes: y = softmax(scale * q k^T) v, a head at
// a time.
// For graphics processors that decode: a workgroup makes one query of a sequence, as `work`
// says, for one head, 128 keys at a time.
// A thread first scores one key, then sums 8 channels over its slice of the keys' values.
// Expects: parts/kv_page.wgsl, parts/kv_read.wgsl and what they expect, PARTS (u32, workgroups that
// share an item of work).

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<u32>;
@group(0) @binding(2) var<storage, read> v: array<u32>;
@group(0) @binding(3) var<storage, read> block_table: array<u32>;
@group(0) @binding(4) var<storage, read> spans: array<Span>;
@group(0) @binding(5) var<storage, read> work: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

const THREADS = 128u;
const OCTETS = SIZE / 8u;
const SLICES = THREADS / OCTETS;
const LOWEST = -3.4028234e38;

var<workgroup> q_row: array<vec4f, 2u * OCTETS>;
var<workgroup> weights: array<f32, THREADS>;
var<workgroup> partial: array<f32, THREADS>;
var<workgroup> sums: array<array<vec4f, 2>, THREADS>;

fn score(span: Span, index: u32, head: u32) -> f32 {
  let page = block_table[span.table + index / PAGE] * params.key_words;
  let token = index % PAGE;
  var sum = 0f;
  for (var first = 0u; first < SIZE; first += KEY_GROUP) {
    let scale = key_scale(page, head, token, first);
    for (var channel = first; channel < first + KEY_GROUP; channel += 8u) {
      let part = key(page, head, token, channel, scale);
      sum += dot(q_row[channel / 4u], part[0]) + dot(q_row[channel / 4u + 1u], part[1]);
    }
  }
  return sum * params.scale;
}

fn most(thread: u32, mine: f32) -> f32 {
  partial[thread] = mine;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] = max(partial[thread], partial[thread + half]); }
    workgroupBarrier();
  }
  return partial[0];
}

fn total(thread: u32, mine: f32) -> f32 {
  partial[thread] = mine;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] += partial[thread + half]; }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let item = work[group.x / PARTS];
  let span = spans[item.x];
  let query = item.y + group.x % PARTS;
  // What pads a batch has no queries.
  if (query >= span.queries) { return; }
  let row = ((span.row + query) * params.heads + head) * 2u * OCTETS;
  let place = span.keys - span.queries + query;
  let start = (max(place + 1u, params.window) - params.window) / PAGE * PAGE;
  let channel = thread % OCTETS * 8u;
  let slice = thread / OCTETS;
  for (var i = thread; i < 2u * OCTETS; i += THREADS) { q_row[i] = q[row + i]; }
  var sum = array(vec4f(), vec4f());
  var denominator = 0f;
  var largest = LOWEST;
  for (var block = start; block <= place; block += THREADS) {
    workgroupBarrier();
    let index = block + thread;
    var mine = LOWEST;
    if (index <= place && index + params.window > place) { mine = score(span, index, kv_head); }
    let higher = max(largest, most(thread, mine));
    let fade = exp(largest - higher);
    largest = higher;
    // A block whose keys are all hidden would otherwise count them as equals.
    let weight = select(exp(mine - largest), 0f, mine == LOWEST);
    denominator = denominator * fade + weight;
    weights[thread] = weight;
    workgroupBarrier();
    sum = array(sum[0] * fade, sum[1] * fade);
    let end = min(THREADS, place + 1u - block);
    for (var i = select(slice, end, slice >= SLICES); i < end; i += SLICES) {
      let page = block_table[span.table + (block + i) / PAGE] * params.value_words;
      let token = (block + i) % PAGE;
      let part = value(page, kv_head, token, channel, value_scale(page, kv_head, token, channel));
      sum = array(sum[0] + weights[i] * part[0], sum[1] + weights[i] * part[1]);
    }
  }
  let divisor = total(thread, denominator);
  sums[thread] = sum;
  workgroupBarrier();
  if (slice > 0u) { return; }
  for (var i = 1u; i < SLICES; i++) {
    let other = sums[i * OCTETS + thread];
    sum = array(sum[0] + other[0], sum[1] + other[1]);
  }
  y[row + channel / 4u] = sum[0] / divisor;
  y[row + channel / 4u + 1u] = sum[1] / divisor;
}
