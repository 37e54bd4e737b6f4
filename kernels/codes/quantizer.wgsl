// Codes under a scale and a zero point, four at a time. Zero domains: x = q * s, x = (q - z) * s,
// x = q * s - z.

const NONE = 0u;
const PRE_SCALE = 1u;
const POST_SCALE = 2u;

// What codes stand for.
fn dequantized(zero_domain: u32, codes: vec4f, scale: f32, zero: f32) -> vec4f {
  if (zero_domain == POST_SCALE) { return codes * scale - zero; }
  if (zero_domain == PRE_SCALE) { return (codes - zero) * scale; }
  return codes * scale;
}
