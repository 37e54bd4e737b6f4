// What the shaders that put keys and values into pages share: codes of values under a scale and zero
// point of their group of channels, and where they go. Tokens of one word of scales are written by
// several threads, hence the atomics.
// Expects: parts/half.wgsl, codes/rounding.wgsl, codes/kv_page.wgsl and what they expect, keys and values
// (atomic words), params (Params: words of a page, scale and clip of both), given(for_values, quad) (4
// values), KEY_BITS (u32), KEY_ZERO (u32, zero domain), KEY_GROUP (u32, channels that share a scale),
// KEY_FIXED (bool, params.key_scale is the scale of all), the same of VALUE_.

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

// Puts scale and zero point of a group into a page, of the token and head whose channel is its first.
fn put_scale(scheme: Scheme, page: u32, head: u32, token: u32, channel: u32, scale: vec2f) {
  let at = page + scales_at(scheme.bits, scheme.group, params.kv_heads, head, token, channel);
  put(scheme.values, at, token, scale.x);
  if (scheme.zero != NONE) {
    put(scheme.values, at + to_zeros(scheme.group, params.kv_heads), token, scale.y);
  }
}

// Stores two quads, of which the second may be none, from a word on: halves or codes.
fn store_eight(scheme: Scheme, to: u32, quad: u32, both: bool, scale: vec2f) {
  if (scheme.bits == 16u) {
    let low = halves(given(scheme.values, quad));
    var high = vec2u();
    if (both) { high = halves(given(scheme.values, quad + 1u)); }
    store(scheme.values, to, low.x);
    store(scheme.values, to + 1u, low.y);
    store(scheme.values, to + 2u, high.x);
    store(scheme.values, to + 3u, high.y);
    return;
  }
  let low = codes(scheme, given(scheme.values, quad), scale.x, scale.y);
  var high = vec4u();
  if (both) { high = codes(scheme, given(scheme.values, quad + 1u), scale.x, scale.y); }
  if (scheme.bits == 4u) {
    let places = vec4u(1u, 1u << 4u, 1u << 8u, 1u << 12u);
    store(scheme.values, to, dot(low, places) | (dot(high, places) << 16u));
  } else {
    let places = vec4u(1u, 1u << 8u, 1u << 16u, 1u << 24u);
    store(scheme.values, to, dot(low, places));
    store(scheme.values, to + 1u, dot(high, places));
  }
}
