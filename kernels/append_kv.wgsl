// pages[slots[token]] = clamp(round(x / s + z)) or clamp(round((x + z) / s)), with scale s and zero
// point z of each token, head and group of channels: one thread each. Threads of neighbouring tokens
// share words of scales, hence the atomics.
// Expects: parts/half.wgsl, parts/quantizer.wgsl, parts/kv_page.wgsl and what it expects, BITS (u32), ZERO (u32, zero
// domain), GROUP (u32, channels that share a scale), FIXED (bool, params.scale is the scale of all),
// THREADS (u32).

struct Params {
  tokens: u32,
  kv_heads: u32,
  pages: u32,
  words: u32,
  scale: f32,
  clip: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read_write> pages: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> params: Params;

const GROUPS = SIZE / GROUP;
const HIGH = select((1u << BITS) - 1u, (1u << (BITS - 1u)) - 1u, ZERO == NONE);

fn halves(quad: vec4f) -> vec2u {
  return vec2u(
    pack2x16float(vec2f(half(quad.x), half(quad.y))),
    pack2x16float(vec2f(half(quad.z), half(quad.w))),
  );
}

fn codes(quad: vec4f, scale: f32, zero: f32) -> vec4u {
  let low = select(0f, -f32(HIGH), ZERO == NONE);
  let inside = clamp(rounded(ZERO, quad, scale, zero), vec4f(low), vec4f(f32(HIGH)));
  return bitcast<vec4u>(vec4i(inside)) & vec4u((1u << BITS) - 1u);
}

// Sets a token's half of a word and leaves its neighbour's.
fn put(word: u32, token: u32, value: f32) {
  let shift = token % 2u * 16u;
  atomicAnd(&pages[word], 0xffff0000u >> shift);
  atomicOr(&pages[word], pack2x16float(vec2f(value, 0f)) << shift);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token_index = id.x / (params.kv_heads * GROUPS);
  if (token_index >= params.tokens) { return; }
  let slot = slots[token_index];
  if (slot / PAGE >= params.pages) { return; }
  let head = id.x / GROUPS % params.kv_heads;
  let group = id.x % GROUPS;
  let token = slot % PAGE;
  let page = slot / PAGE * params.words;
  let source = id.x * (GROUP / 4u);
  let to = page + codes_at(BITS, head, token, group * GROUP);
  if (BITS == 16u) {
    for (var i = 0u; i < GROUP / 4u; i++) {
      let words = halves(x[source + i]);
      atomicStore(&pages[to + 2u * i], words.x);
      atomicStore(&pages[to + 2u * i + 1u], words.y);
    }
    return;
  }
  var scale = params.scale;
  var zero = 0f;
  if (!FIXED) {
    var low = x[source];
    var high = low;
    for (var i = 1u; i < GROUP / 4u; i++) {
      low = min(low, x[source + i]);
      high = max(high, x[source + i]);
    }
    var least = params.clip * min(min(low.x, low.y), min(low.z, low.w));
    var most = params.clip * max(max(high.x, high.y), max(high.z, high.w));
    if (ZERO == PRE_SCALE) {
      least = min(least, 0f);
      most = max(most, 0f);
    }
    let span = select(most - least, max(-least, most), ZERO == NONE);
    scale = half(span / f32(HIGH));
    if (scale == 0f) { scale = 1f; }
    if (ZERO == PRE_SCALE) { zero = min(round(-least / scale), f32(HIGH)); }
    if (ZERO == POST_SCALE) { zero = half(-least); }
    // No negative zero: it has other bits.
    if (zero == 0f) { zero = 0f; }
    let at = page + scales_at(BITS, GROUP, params.kv_heads, head, token, group * GROUP);
    put(at, token, scale);
    if (ZERO != NONE) { put(at + to_zeros(GROUP, params.kv_heads), token, zero); }
  }
  for (var i = 0u; i < GROUP / 8u; i++) {
    let low = codes(x[source + 2u * i], scale, zero);
    let high = codes(x[source + 2u * i + 1u], scale, zero);
    if (BITS == 4u) {
      let places = vec4u(1u, 1u << 4u, 1u << 8u, 1u << 12u);
      atomicStore(&pages[to + i], dot(low, places) | dot(high, places) << 16u);
    } else {
      let places = vec4u(1u, 1u << 8u, 1u << 16u, 1u << 24u);
      atomicStore(&pages[to + 2u * i], dot(low, places));
      atomicStore(&pages[to + 2u * i + 1u], dot(high, places));
    }
  }
}
