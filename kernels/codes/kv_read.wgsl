// Reads of keys and values from pages; `page` is the first word of one. A sequence's first token stands at its
// place LEAD; those before CODED, which are all in its first page, are sinks.
// Expects: codes/kv_page.wgsl, SINKS (u32, first tokens that stay in half precision), k (array<vec4u>), v and block_table (array<u32>), params (Params), and for
// keys and for values KEY_ and VALUE_ BITS (u32), ZERO (u32, zero domain), GROUP (u32, channels that
// share a scale), FIXED (bool, the scale is that in params).

struct Params {
  heads: u32,
  kv_heads: u32,
  window: u32,
  scale: f32,
  cap: f32,
  key_words: u32,
  key_scale: f32,
  value_words: u32,
  value_scale: f32,
  // Of channels of keys that turn when they are read; 0 for none.
  pairs: u32,
}

const LEAD = 3u * SINKS;
const CODED = 4u * SINKS;

// The queries of a sequence from a row of q on, places up to its last key, where its block table begins.
struct Span {
  row: u32,
  queries: u32,
  keys: u32,
  table: u32,
}

fn key_word(at: u32) -> u32 {
  return k[at / 4u][at % 4u];
}

// Scale and zero point of a token's channel.
fn key_scale(page: u32, head: u32, token: u32, channel: u32) -> vec2f {
  if (KEY_FIXED) { return vec2f(params.key_scale, 0f); }
  let at = page + scales_at(KEY_BITS, KEY_GROUP, params.kv_heads, head, token, channel);
  let scale = of_token(key_word(at), token);
  if (KEY_ZERO == NONE) { return vec2f(scale, 0f); }
  return vec2f(scale, of_token(key_word(at + to_zeros(KEY_GROUP, params.kv_heads)), token));
}

fn value_scale(page: u32, head: u32, token: u32, channel: u32) -> vec2f {
  if (VALUE_FIXED) { return vec2f(params.value_scale, 0f); }
  let at = page + scales_at(VALUE_BITS, VALUE_GROUP, params.kv_heads, head, token, channel);
  let scale = of_token(v[at], token);
  if (VALUE_ZERO == NONE) { return vec2f(scale, 0f); }
  return vec2f(scale, of_token(v[at + to_zeros(VALUE_GROUP, params.kv_heads)], token));
}

// 8 channels of a token from a channel on, under their scale and zero point.
fn key(page: u32, head: u32, token: u32, channel: u32, scale: vec2f) -> array<vec4f, 2> {
  let at = page + codes_at(KEY_BITS, head, token, channel);
  var words = vec4u(key_word(at));
  if (KEY_BITS == 8u) { words.y = key_word(at + 1u); }
  if (KEY_BITS == 16u) { words = k[at / 4u]; }
  return values_of(KEY_ZERO, codes_of(KEY_BITS, KEY_ZERO, words), scale);
}

// Channels of a key that one load brings, and whether its groups are made of so many.
const KEY_LOAD = 128u / KEY_BITS;
const KEY_LOADS = KEY_GROUP % KEY_LOAD == 0u;

// 8 of the channels that one load has brought, under their scale and zero point.
fn part_of_key(words: vec4u, octet: u32, scale: vec2f) -> array<vec4f, 2> {
  var own = words;
  if (KEY_BITS == 4u) { own = vec4u(words[octet]); }
  if (KEY_BITS == 8u) { own = select(words.xyzw, words.zwxy, octet == 1u); }
  return values_of(KEY_ZERO, codes_of(KEY_BITS, KEY_ZERO, own), scale);
}

// 8 channels of the key at a place of a sequence, from a channel on.
fn key_at(page: u32, head: u32, place: u32, channel: u32) -> array<vec4f, 2> {
  let token = place % PAGE;
  if (place < CODED) {
    let at = page + halves_at(KEY_BITS, head, 4u * (place - LEAD), channel);
    return codes_of(16u, NONE, k[at / 4u]);
  }
  return key(page, head, token, channel, key_scale(page, head, token, channel));
}

// The same of values.
fn value_at(page: u32, head: u32, place: u32, channel: u32) -> array<vec4f, 2> {
  let token = place % PAGE;
  if (place < CODED) {
    let at = page + halves_at(VALUE_BITS, head, 4u * (place - LEAD), channel);
    return codes_of(16u, NONE, vec4u(v[at], v[at + 1u], v[at + 2u], v[at + 3u]));
  }
  return value(page, head, token, channel, value_scale(page, head, token, channel));
}

fn value(page: u32, head: u32, token: u32, channel: u32, scale: vec2f) -> array<vec4f, 2> {
  let at = page + codes_at(VALUE_BITS, head, token, channel);
  var words = vec4u(v[at]);
  if (VALUE_BITS == 8u) { words.y = v[at + 1u]; }
  if (VALUE_BITS == 16u) { words = vec4u(words.x, v[at + 1u], v[at + 2u], v[at + 3u]); }
  return values_of(VALUE_ZERO, codes_of(VALUE_BITS, VALUE_ZERO, words), scale);
}
