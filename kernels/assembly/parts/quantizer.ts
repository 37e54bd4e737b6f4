/** Zero domains as `ZERO_DOMAINS` numbers them: x = q * s, x = (q - z) * s, x = q * s - z. */
const PRE_SCALE: u32 = 1;
const POST_SCALE: u32 = 2;

/** The codes of four values as floats, rounded half to even but not clamped. */
export function rounded(domain: u32, values: v128, scale: v128, zero: v128): v128 {
  if (domain == POST_SCALE) return f32x4.nearest(f32x4.div(f32x4.add(values, zero), scale));
  if (domain == PRE_SCALE) return f32x4.nearest(f32x4.add(f32x4.div(values, scale), zero));
  return f32x4.nearest(f32x4.div(values, scale));
}

/** What four codes stand for. */
export function dequantized(domain: u32, codes: v128, scale: v128, zero: v128): v128 {
  if (domain == POST_SCALE) return f32x4.sub(f32x4.mul(codes, scale), zero);
  if (domain == PRE_SCALE) return f32x4.mul(f32x4.sub(codes, zero), scale);
  return f32x4.mul(codes, scale);
}
