// Turns heads as rope.wgsl and rope_hadamard.wgsl do; those of queries are written, those of keys, and of
// values as they are, go into pages as append_kv.wgsl puts them there. A workgroup makes a token's head.
// Expects: parts/rope_pair.wgsl, parts/append_head.wgsl and what they expect, MIXED (bool, heads of
// queries and keys go through the Hadamard transform, times params.scale), THREADS (u32).

struct Params {
  heads: u32,
  kv_heads: u32,
  half: u32,
  pairs: u32,
  scale: f32,
  pages: u32,
  key_words: u32,
  key_scale: f32,
  key_clip: f32,
  value_words: u32,
  value_scale: f32,
  value_clip: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> angles: array<f32>;
@group(0) @binding(3) var<storage, read> center: array<f32>;
@group(0) @binding(4) var<storage, read> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> keys: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> values: array<atomic<u32>>;
@group(0) @binding(7) var<storage, read_write> q: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> tile: array<f32, SIZE>;

fn given(_for_values: bool, quad: u32) -> vec4f {
  return vec4f(tile[4u * quad], tile[4u * quad + 1u], tile[4u * quad + 2u], tile[4u * quad + 3u]);
}

fn coded(for_values: bool, quad: u32) -> vec4f {
  return given(for_values, quad);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let row = group.y;
  let keys_from = params.heads;
  let values_from = keys_from + params.kv_heads;
  for (var pair = thread; pair < SIZE / 2u; pair += THREADS) {
    let place = place_of(pair);
    let turned = turned_pair(row, head, pair);
    tile[place.x] = turned.x;
    tile[place.y] = turned.y;
  }
  workgroupBarrier();
  if (MIXED && head < values_from) {
    for (var half_way = 1u; half_way < SIZE; half_way *= 2u) {
      for (var i = thread; i < SIZE / 2u; i += THREADS) {
        let at = i / half_way * 2u * half_way + i % half_way;
        let pair = vec2f(tile[at], tile[at + half_way]);
        tile[at] = pair.x + pair.y;
        tile[at + half_way] = pair.x - pair.y;
      }
      workgroupBarrier();
    }
    for (var d = thread; d < SIZE; d += THREADS) { tile[d] *= params.scale; }
    workgroupBarrier();
  }
  if (head < keys_from) {
    let to = (row * params.heads + head) * SIZE;
    for (var d = thread; d < SIZE; d += THREADS) { q[to + d] = tile[d]; }
    return;
  }
  let sink = slots[row] >= SINK_SLOT;
  let slot = slots[row] % SINK_SLOT;
  if (slot / PAGE >= params.pages) { return; }
  var scheme = scheme_of(head >= values_from);
  let kv_head = (head - keys_from) % params.kv_heads;
  let token = slot % PAGE;
  let page = slot / PAGE * scheme.words;
  let held = scheme;
  if (sink) { scheme.bits = 16u; }
  for (var octet = thread; octet < OCTETS; octet += THREADS) {
    let channel = 8u * octet;
    let first = channel / scheme.group * scheme.group;
    var scale = vec2f(scheme.scale, 0f);
    if (scheme.bits != 16u && !scheme.fixed) {
      scale = scale_of(scheme, first / 4u, group.z);
      if (channel == first) { put_scale(scheme, page, kv_head, token, channel, scale); }
    }
    let to = place_in(held, page, kv_head, token, channel, sink);
    store_eight(scheme, to, 2u * octet, channel + 4u < SIZE, scale);
  }
}
