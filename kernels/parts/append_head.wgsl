// What the shaders that put keys and values into pages share: codes of values under a scale and zero
// point of their group of channels, and where they go. Tokens of one word of scales are written by
// several threads, hence the atomics.
// Expects: parts/half.wgsl, codes/rounding.wgsl, codes/kv_page.wgsl and what they expect, keys and values
// (atomic words), params (Params: words of a page, scale and clip of both), given(for_values, quad) (4
// values, of which ranges are), coded(for_values, quad) (the same, as they get codes), KEY_BITS (u32), KEY_ZERO (u32, zero domain), KEY_GROUP (u32, channels that share a scale),
// KEY_FIXED (bool, params.key_scale is the scale of all), KEY_FIT (bool, groups take the share of their
// range that errs least), the same of VALUE_.

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
  fit: bool,
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
    select(KEY_FIT, VALUE_FIT, for_values),
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

fn kept_quad(products: vec4f, nothing: u32) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(products) + vec4u(nothing));
}

// Shares of a range that are tried.
const FIT_SHARES = array<f32, 5>(1f, 0.96f, 0.92f, 0.88f, 0.84f);

// Scale and zero point of the group whose first quad is given.
fn scale_of(scheme: Scheme, source: u32, nothing: u32) -> vec2f {
  var low = given(scheme.values, source);
  var high = low;
  for (var i = 1u; i < scheme.group / 4u; i++) {
    let quad = given(scheme.values, source + i);
    low = min(low, quad);
    high = max(high, quad);
  }
  let least = kept(scheme.clip * min(min(low.x, low.y), min(low.z, low.w)), nothing);
  let most = kept(scheme.clip * max(max(high.x, high.y), max(high.z, high.w)), nothing);
  var best = scale_between(scheme, least, most);
  if (!scheme.fit) { return best; }
  var error = error_of(scheme, source, best, nothing);
  for (var at = 1u; at < 5u; at++) {
    let share = FIT_SHARES[at];
    let tried = scale_between(scheme, kept(least * share, nothing), kept(most * share, nothing));
    let error_tried = error_of(scheme, source, tried, nothing);
    if (error_tried < error) {
      error = error_tried;
      best = tried;
    }
  }
  return best;
}

// The squared error of a group's codes under a scale and zero point, summed by fours.
fn error_of(scheme: Scheme, source: u32, scale: vec2f, nothing: u32) -> f32 {
  let high = highest(scheme);
  let low = select(0f, -high, scheme.zero == NONE);
  var sums = vec4f();
  for (var i = 0u; i < scheme.group / 4u; i++) {
    let quad = given(scheme.values, source + i);
    let code = clamp(rounded(scheme.zero, quad, scale.x, scale.y), vec4f(low), vec4f(high));
    let before = select(0f, scale.y, scheme.zero == POST_SCALE);
    let behind = select(0f, scale.y, scheme.zero == PRE_SCALE);
    let off = quad - (kept_quad((code - behind) * scale.x, nothing) - before);
    sums += kept_quad(off * off, nothing);
  }
  return (sums.x + sums.y) + (sums.z + sums.w);
}

// Scale and zero point of the values from one to another.
fn scale_between(scheme: Scheme, from_value: f32, to_value: f32) -> vec2f {
  var least = from_value;
  var most = to_value;
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

// What the code of a value made of another one misses of that.
fn missed(scheme: Scheme, value: f32, made_of_it: f32, scale: vec2f, nothing: u32) -> f32 {
  let high = highest(scheme);
  let low = select(0f, -high, scheme.zero == NONE);
  let code = clamp(rounded(scheme.zero, vec4f(made_of_it), scale.x, scale.y).x, low, high);
  let before = select(0f, scale.y, scheme.zero == POST_SCALE);
  let behind = select(0f, scale.y, scheme.zero == PRE_SCALE);
  return value - (kept((code - behind) * scale.x, nothing) - before);
}

// The word where the codes of a head's token begin at a channel, or the halves of a sink.
fn place_in(scheme: Scheme, page: u32, head: u32, token: u32, channel: u32, sink: bool) -> u32 {
  if (sink) { return page + halves_at(scheme.bits, head, token, channel); }
  return page + codes_at(scheme.bits, head, token, channel);
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
  let low = codes(scheme, coded(scheme.values, quad), scale.x, scale.y);
  var high = vec4u();
  if (both) { high = codes(scheme, coded(scheme.values, quad + 1u), scale.x, scale.y); }
  if (scheme.bits == 4u) {
    let places = vec4u(1u, 1u << 4u, 1u << 8u, 1u << 12u);
    store(scheme.values, to, dot(low, places) | (dot(high, places) << 16u));
  } else {
    let places = vec4u(1u, 1u << 8u, 1u << 16u, 1u << 24u);
    store(scheme.values, to, dot(low, places));
    store(scheme.values, to + 1u, dot(high, places));
  }
}
