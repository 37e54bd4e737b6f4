// Causal attention with online softmax over pages of codes: y = softmax(scale * q k^T) v, a head at
// a time.
// A workgroup of 128 threads makes 16 queries of a sequence, as `work` says,
// for one head and stages the values of KEYS keys, then those of their values, in workgroup memory; 8
// threads share a query. Sums are in the order of parts/attention_blocks.wgsl.
// Expects: codes/kv_page.wgsl, codes/kv_read.wgsl and what they expect, its bindings, turned_key() as
// codes/kv_turn.wgsl has it, parts/attention_blocks.wgsl,
// parts/soft_cap.wgsl and what it expects, KEYS (u32: 8, 16 or 32).

const QUERIES = 16u;
const SHARE = 8u;
const THREADS = QUERIES * SHARE;
const QUADS = SIZE / 4u;
const MINE = (QUADS + SHARE - 1u) / SHARE;
// Keys whose scores are made before their values are read: a whole block at least.
const SPAN = max(KEYS, BLOCK);
const SCORES = SPAN / SHARE;
// Keys that are both staged at once and of one block.
const RUN = min(KEYS, BLOCK);
// One more than the quads of a head keeps neighbouring rows out of each other's banks.
const STRIDE = 2u * OCTETS + 1u;

var<workgroup> q_tile: array<vec4f, QUERIES * STRIDE>;
var<workgroup> kv_tile: array<vec4f, KEYS * STRIDE>;
var<workgroup> weights: array<f32, QUERIES * (SPAN + 1u)>;

fn stage(row: u32, octet: u32, channels: array<vec4f, 2>) {
  kv_tile[row * STRIDE + 2u * octet] = channels[0];
  kv_tile[row * STRIDE + 2u * octet + 1u] = channels[1];
}

fn stage_keys(span: Span, first: u32, head: u32, thread: u32) {
  let page = block_table[span.table + first / PAGE] * params.key_words;
  for (var i = thread; i < KEYS * OCTETS; i += THREADS) {
    let place = clamp(first + i / OCTETS, LEAD, span.keys - 1u);
    let channel = 8u * (i % OCTETS);
    stage(i / OCTETS, i % OCTETS, turned_key(page, head, place, channel));
  }
}

fn stage_values(span: Span, first: u32, head: u32, thread: u32) {
  let page = block_table[span.table + first / PAGE] * params.value_words;
  for (var i = thread; i < KEYS * OCTETS; i += THREADS) {
    let place = clamp(first + i / OCTETS, LEAD, span.keys - 1u);
    let channel = 8u * (i % OCTETS);
    stage(i / OCTETS, i % OCTETS, value_at(page, head, place, channel));
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
  let start = (max(offset + first + 1u, params.window) - params.window) / SPAN * SPAN;
  for (var i = thread; i < QUERIES * QUADS; i += THREADS) {
    let index = span.row + min(first + i / QUADS, max(span.queries, 1u) - 1u);
    let quad = q[(index * params.heads + head) * QUADS + i % QUADS];
    q_tile[i / QUADS * STRIDE + i % QUADS] = quad * params.scale;
  }
  let mine = row * (SPAN + 1u);
  var total = array<vec4f, MINE>();
  var seen = nothing();
  var sum = array<vec4f, MINE>();
  var state = nothing();
  for (var here = start; here < end; here += SPAN) {
    for (var from_key = 0u; from_key < SPAN; from_key += KEYS) {
      workgroupBarrier();
      stage_keys(span, here + from_key, kv_head, thread);
      workgroupBarrier();
      for (var at = part; at < KEYS; at += SHARE) {
        let index = here + from_key + at;
        var score = 0f;
        for (var d = 0u; d < QUADS; d++) {
          score = add_four(score, q_tile[row * STRIDE + d], kv_tile[at * STRIDE + d]);
        }
        let visible = index >= LEAD && index <= place && index + params.window > place;
        weights[mine + from_key + at] = select(LOWEST, soft_capped(score, params.cap), visible);
      }
    }
    workgroupBarrier();
    var most: array<f32, SPAN / BLOCK>;
    for (var block = 0u; block < SPAN / BLOCK; block++) {
      most[block] = LOWEST;
      for (var i = 0u; i < BLOCK; i++) {
        most[block] = max(most[block], weights[mine + block * BLOCK + i]);
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
      let at = part + SHARE * i;
      weights[mine + at] = weight_of(weights[mine + at], most[at / BLOCK]);
    }
    var block_sum = array<vec4f, MINE>();
    var block_weight = 0f;
    for (var from_key = 0u; from_key < SPAN; from_key += RUN) {
      if (from_key % KEYS == 0u) {
        if (from_key > 0u) { workgroupBarrier(); }
        stage_values(span, here + from_key, kv_head, thread);
        workgroupBarrier();
      }
      if (from_key % BLOCK == 0u) {
        block_sum = array<vec4f, MINE>();
        block_weight = 0f;
      }
      for (var i = 0u; i < RUN; i++) {
        let weight = weights[mine + from_key + i];
        let at = (from_key % KEYS + i) * STRIDE;
        block_weight += weight;
        for (var c = 0u; c < MINE; c++) {
          let value = kv_tile[at + min(part + SHARE * c, QUADS - 1u)];
          block_sum[c] = fma(vec4f(weight), value, block_sum[c]);
        }
      }
      let whole = (from_key + RUN) % BLOCK == 0u;
      if (whole && most[from_key / BLOCK] > LOWEST) {
        let merge = merged(&state, most[from_key / BLOCK], block_weight);
        for (var c = 0u; c < MINE; c++) {
          sum[c] = fma(sum[c], vec4f(merge.fade), block_sum[c] * merge.part);
        }
      }
    }
    let ended = (here + SPAN) % SLICE == 0u || here + SPAN >= end;
    if (ended && state.most > LOWEST) {
      let merge = merged(&seen, state.most, state.weight);
      for (var c = 0u; c < MINE; c++) {
        total[c] = fma(total[c], vec4f(merge.fade), sum[c] * merge.part);
      }
      sum = array<vec4f, MINE>();
      state = nothing();
    }
  }
  if (first + row >= span.queries) { return; }
  let index = span.row + first + row;
  for (var c = 0u; c < MINE; c++) {
    let quad = part + SHARE * c;
    if (quad < QUADS) {
      y[(index * params.heads + head) * QUADS + quad] = total[c] / seen.weight;
    }
  }
}
