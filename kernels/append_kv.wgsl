// keys[slots[token]] = clamp(round(k / s + z)) or clamp(round((k + z) / s)), and values of v alike,
// with scale s and zero point z of each token, head and group of channels: one thread each, of keys
// in the first layer of the grid, of values in the second. Threads of neighbouring tokens share
// words of scales, hence the atomics.
// Expects: parts/half.wgsl, codes/rounding.wgsl, codes/kv_page.wgsl and what they expect, KEY_BITS
// (u32), KEY_ZERO (u32, zero domain), KEY_GROUP (u32, channels that share a scale), KEY_FIXED
// (bool, params.key_scale is the scale of all), the same of VALUE_, THREADS (u32).

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
@group(0) @binding(3) var<storage, read_write> keys: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> values: array<atomic<u32>>;
@group(0) @binding(5) var<uniform> params: Params;

// How keys or values are held.
struct Scheme {
  values: bool,
  bits: u32,
  zero: u32,
  group: u32,
  fixed: bool,
  words: u32,
  scale: f32,
  clip: f32,
}

fn scheme_of(for_values: bool) -> Scheme {
  return Scheme(
    for_values,
    select(KEY_BITS, VALUE_BITS, for_values),
    select(KEY_ZERO, VALUE_ZERO, for_values),
    select(KEY_GROUP, VALUE_GROUP, for_values),
    select(KEY_FIXED, VALUE_FIXED, for_values),
    select(params.key_words, params.value_words, for_values),
    select(params.key_scale, params.value_scale, for_values),
    select(params.key_clip, params.value_clip, for_values),
  );
}

fn given(for_values: bool, quad: u32) -> vec4f {
  if (for_values) { return v[quad]; }
  return k[quad];
}

fn store(for_values: bool, word: u32, bits: u32) {
  if (for_values) {
    atomicStore(&values[word], bits);
  } else {
    atomicStore(&keys[word], bits);
  }
}

// Sets a token's half of a word and leaves its neighbour's.
fn put(for_values: bool, word: u32, token: u32, value: f32) {
  let shift = token % 2u * 16u;
  let others = 0xffff0000u >> shift;
  let bits = pack2x16float(vec2f(value, 0f)) << shift;
  if (for_values) {
    atomicAnd(&values[word], others);
    atomicOr(&values[word], bits);
  } else {
    atomicAnd(&keys[word], others);
    atomicOr(&keys[word], bits);
  }
}

fn halves(quad: vec4f) -> vec2u {
  return vec2u(
    pack2x16float(vec2f(half(quad.x), half(quad.y))),
    pack2x16float(vec2f(half(quad.z), half(quad.w))),
  );
}

fn highest(scheme: Scheme) -> f32 {
  return f32((1u << select(scheme.bits, scheme.bits - 1u, scheme.zero == NONE)) - 1u);
}

fn codes(scheme: Scheme, quad: vec4f, scale: f32, zero: f32) -> vec4u {
  let high = highest(scheme);
  let low = select(0f, -high, scheme.zero == NONE);
  let inside = clamp(rounded(scheme.zero, quad, scale, zero), vec4f(low), vec4f(high));
  return bitcast<vec4u>(vec4i(inside)) & vec4u((1u << scheme.bits) - 1u);
}

// A product as it was rounded. A driver may add another one to it before rounding, which it cannot
// know to be the same once `nothing`, which is 0, was added to its bits.
fn kept(product: f32, nothing: u32) -> f32 {
  return bitcast<f32>(bitcast<u32>(product) + nothing);
}

// Scale and zero point of the group whose first quad is given.
fn scale_of(scheme: Scheme, source: u32, nothing: u32) -> vec2f {
  var low = given(scheme.values, source);
  var high = low;
  for (var i = 1u; i < scheme.group / 4u; i++) {
    let quad = given(scheme.values, source + i);
    low = min(low, quad);
    high = max(high, quad);
  }
  var least = kept(scheme.clip * min(min(low.x, low.y), min(low.z, low.w)), nothing);
  var most = kept(scheme.clip * max(max(high.x, high.y), max(high.z, high.w)), nothing);
  if (scheme.zero == PRE_SCALE) {
    least = min(least, 0f);
    most = max(most, 0f);
  }
  let span = select(most - least, max(-least, most), scheme.zero == NONE);
  var scale = half(quotient(span, highest(scheme)));
  if (scale == 0f) { scale = 1f; }
  var zero = 0f;
  if (scheme.zero == PRE_SCALE) { zero = min(round(quotient(-least, scale)), highest(scheme)); }
  if (scheme.zero == POST_SCALE) { zero = half(-least); }
  // No negative zero: it has other bits.
  if (zero == 0f) { zero = 0f; }
  return vec2f(scale, zero);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let scheme = scheme_of(id.y == 1u);
  let groups = SIZE / scheme.group;
  let token_index = id.x / (params.kv_heads * groups);
  if (token_index >= params.tokens) { return; }
  let slot = slots[token_index];
  if (slot / PAGE >= params.pages) { return; }
  let head = id.x / groups % params.kv_heads;
  let group = id.x % groups;
  let token = slot % PAGE;
  let page = slot / PAGE * scheme.words;
  let source = id.x * (scheme.group / 4u);
  let to = page + codes_at(scheme.bits, head, token, group * scheme.group);
  if (scheme.bits == 16u) {
    for (var i = 0u; i < scheme.group / 4u; i++) {
      let words = halves(given(scheme.values, source + i));
      store(scheme.values, to + 2u * i, words.x);
      store(scheme.values, to + 2u * i + 1u, words.y);
    }
    if (scheme.group % 8u != 0u) {
      store(scheme.values, to + scheme.group / 2u, 0u);
      store(scheme.values, to + scheme.group / 2u + 1u, 0u);
    }
    return;
  }
  var scale = vec2f(scheme.scale, 0f);
  if (!scheme.fixed) {
    scale = scale_of(scheme, source, id.z);
    let at = page +
      scales_at(scheme.bits, scheme.group, params.kv_heads, head, token, group * scheme.group);
    put(scheme.values, at, token, scale.x);
    if (scheme.zero != NONE) {
      put(scheme.values, at + to_zeros(scheme.group, params.kv_heads), token, scale.y);
    }
  }
  for (var i = 0u; i < (scheme.group + 7u) / 8u; i++) {
    let low = codes(scheme, given(scheme.values, source + 2u * i), scale.x, scale.y);
    var high = vec4u();
    if (8u * i + 4u < scheme.group) {
      high = codes(scheme, given(scheme.values, source + 2u * i + 1u), scale.x, scale.y);
    }
    if (scheme.bits == 4u) {
      let places = vec4u(1u, 1u << 4u, 1u << 8u, 1u << 12u);
      store(scheme.values, to + i, dot(low, places) | (dot(high, places) << 16u));
    } else {
      let places = vec4u(1u, 1u << 8u, 1u << 16u, 1u << 24u);
      store(scheme.values, to + 2u * i, dot(low, places));
      store(scheme.values, to + 2u * i + 1u, dot(high, places));
    }
  }
}
