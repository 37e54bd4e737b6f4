// keys[slots[token]] = clamp(round(k / s + z)) or clamp(round((k + z) / s)), and values of v alike,
// with scale s and zero point z of each token, head and group of channels: one thread each, of keys
// in the first layer of the grid, of values in the second.
// Where keys are compensated, each thread goes through its head's channels up to the last one of its group.
// Expects: parts/append_head.wgsl and what it expects, COMPENSATED (bool), THREADS (u32).

struct Params {
  tokens: u32,
  kv_heads: u32,
  pages: u32,
  key_words: u32,
  key_scale: f32,
  key_clip: f32,
  value_words: u32,
  value_scale: f32,
  value_clip: f32,
}

@group(0) @binding(0) var<storage, read> k: array<vec4f>;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> compensation: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> values: array<atomic<u32>>;
@group(0) @binding(6) var<uniform> params: Params;

// A head's channels with what codes of channels before them missed.
var<private> made: array<f32, SIZE>;

fn given(for_values: bool, quad: u32) -> vec4f {
  if (for_values) { return v[quad]; }
  return k[quad];
}

fn coded(for_values: bool, quad: u32) -> vec4f {
  if (for_values || !COMPENSATED) { return given(for_values, quad); }
  let at = 4u * quad % SIZE;
  return vec4f(made[at], made[at + 1u], made[at + 2u], made[at + 3u]);
}

// Makes the channels of a head whose first quad is given, up to `end`, by the scales of their groups; the last
// of these is given back.
fn compensate(scheme: Scheme, head: u32, first: u32, end: u32, nothing: u32) -> vec2f {
  for (var d = 0u; d < SIZE; d++) { made[d] = k[first + d / 4u][d % 4u]; }
  var scale = vec2f(scheme.scale, 0f);
  for (var i = 0u; i < end; i++) {
    if (i % scheme.group == 0u && !scheme.fixed) {
      scale = scale_of(scheme, first + i / 4u, nothing);
    }
    let lost = missed(scheme, k[first + i / 4u][i % 4u], made[i], scale, nothing);
    for (var d = i + 1u; d < end; d++) {
      made[d] += kept(lost * compensation[(head * SIZE + i) * SIZE + d], nothing);
    }
  }
  return scale;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var scheme = scheme_of(id.y == 1u);
  let groups = SIZE / scheme.group;
  let token_index = id.x / (params.kv_heads * groups);
  if (token_index >= params.tokens) { return; }
  let sink = slots[token_index] >= SINK_SLOT;
  let slot = slots[token_index] % SINK_SLOT;
  if (slot / PAGE >= params.pages) { return; }
  let head = id.x / groups % params.kv_heads;
  let channel = id.x % groups * scheme.group;
  let token = slot % PAGE;
  let page = slot / PAGE * scheme.words;
  let source = id.x * (scheme.group / 4u);
  let to = place_in(scheme, page, head, token, channel, sink);
  if (sink) { scheme.bits = 16u; }
  var scale = vec2f(scheme.scale, 0f);
  if (COMPENSATED && !scheme.values && !sink) {
    scale = compensate(scheme, head, source - channel / 4u, channel + scheme.group, id.z);
  }
  if (scheme.bits != 16u && !scheme.fixed) {
    if (!COMPENSATED || scheme.values) { scale = scale_of(scheme, source, id.z); }
    put_scale(scheme, page, head, token, channel, scale);
  }
  for (var i = 0u; i < (scheme.group + 7u) / 8u; i++) {
    let both = 8u * i + 4u < scheme.group;
    store_eight(scheme, to + i * scheme.bits / 4u, source + 2u * i, both, scale);
  }
}
