// Where codes, scales and zero points lie in a page of the KV cache, and how they become values.
// A page holds 64 tokens: codes [kv head][token][channel], packed from the low bits of a word up,
// then f16 scales and f16 zero points, each [kv head][group][token], two tokens a word. Zeros fill
// the codes of a head up to a multiple of 8. A sequence's first tokens may be sinks: each has f16 values in
// the place of the codes of four tokens.
// Expects: codes/quantizer.wgsl, SIZE (u32, head size, a multiple of 4).

const PAGE = 64u;
// What a slot has more where a sink goes.
const SINK_SLOT = 0x80000000u;
const OCTETS = (SIZE + 7u) / 8u;
const HELD = 8u * OCTETS;

// Word of a page where the codes from a channel, a multiple of 8, of a head's token begin.
fn codes_at(bits: u32, head: u32, token: u32, channel: u32) -> u32 {
  return ((head * PAGE + token) * HELD + channel) * bits / 32u;
}

// Word of a page where the halves from a channel, an even one, of a head's sink begin; `token` is the first of
// the four places that it takes.
fn halves_at(bits: u32, head: u32, token: u32, channel: u32) -> u32 {
  return codes_at(bits, head, token, 0u) + channel / 2u;
}

// Word of a page that holds the scale of a head's token for a channel; `size` channels share it.
fn scales_at(bits: u32, size: u32, kv_heads: u32, head: u32, token: u32, channel: u32) -> u32 {
  let row = head * (SIZE / size) + channel / size;
  return kv_heads * PAGE * HELD * bits / 32u + (row * PAGE + token) / 2u;
}

// Words from a scale to its zero point.
fn to_zeros(size: u32, kv_heads: u32) -> u32 {
  return kv_heads * (SIZE / size) * PAGE / 2u;
}

// Of the two tokens of a word, the one asked for.
fn of_token(word: u32, token: u32) -> f32 {
  let both = unpack2x16float(word);
  return select(both.x, both.y, token % 2u == 1u);
}

// The 8 codes in 1 word of 4 bits, 2 of 8 bits, or the values in 4 words of 16 bits; codes with a
// zero point are unsigned.
fn codes_of(bits: u32, zero_domain: u32, words: vec4u) -> array<vec4f, 2> {
  if (bits == 16u) {
    return array(
      vec4f(unpack2x16float(words.x), unpack2x16float(words.y)),
      vec4f(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
  }
  let places = vec4u(0u, 1u, 2u, 3u) * bits;
  let low = vec4u(words.x) >> places;
  let high = select(vec4u(words.y), vec4u(words.x >> 16u), bits == 4u) >> places;
  let mask = vec4u((1u << bits) - 1u);
  if (zero_domain != NONE) { return array(vec4f(low & mask), vec4f(high & mask)); }
  return array(signed(low, bits), signed(high, bits));
}

// The low bits of each word as two's complement.
fn signed(words: vec4u, bits: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(words << vec4u(32u - bits)) >> vec4u(32u - bits));
}

// The values of codes under a scale and a zero point.
fn values_of(zero_domain: u32, codes: array<vec4f, 2>, scale: vec2f) -> array<vec4f, 2> {
  return array(
    dequantized(zero_domain, codes[0], scale.x, scale.y),
    dequantized(zero_domain, codes[1], scale.x, scale.y),
  );
}
