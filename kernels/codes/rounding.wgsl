// Rounding to codes under a scale and a zero point, four at a time.
// Expects: codes/quantizer.wgsl, parts/quotient.wgsl.

// The codes of values, rounded half to even but not clamped; the same on every driver.
fn rounded(zero_domain: u32, values: vec4f, scale: f32, zero: f32) -> vec4f {
  if (zero_domain == POST_SCALE) { return round(quotients(values + zero, scale)); }
  if (zero_domain == PRE_SCALE) { return round(quotients(values, scale) + zero); }
  return round(quotients(values, scale));
}
