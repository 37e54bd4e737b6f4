// Division that all drivers round alike. WGSL lets a quotient be 2.5 units in the last place off, and
// fma be a product and a sum; but integers are exact everywhere, so the remainder of a quotient's 24
// bits says by how many units it is off.

// The f32 values nearest to a / b, ties to even, whatever the driver's division; b is positive. Below
// 2^-126 and where a or the quotient is not finite, what the driver makes of them.
fn quotients(a: vec4f, b: f32) -> vec4f {
  return nearest_quotients(a / vec4f(b), a, b);
}

fn quotient(a: f32, b: f32) -> f32 {
  return quotients(vec4f(a), b).x;
}

// The same from estimates that are at most five units off. Where the first correction crosses a power
// of two, units change, and the second one ends it.
fn nearest_quotients(estimates: vec4f, a: vec4f, b: f32) -> vec4f {
  let divisor = bitcast<u32>(b);
  let dividends = bitcast<vec4u>(a);
  let once = corrected(bitcast<vec4u>(estimates), dividends, divisor);
  return bitcast<vec4f>(corrected(once, dividends, divisor));
}

// Bits of quotients moved to those nearest in their units. With a = m 2^e and so on, the remainder
// a - q b is (m_a << shift) - m_q m_b in units of 2^(e_q + e_b); it is below 6 m_b, so that its last 32
// bits tell all. No quotient of floats lies in the middle between two others.
fn corrected(quotient_bits: vec4u, a: vec4u, b: u32) -> vec4u {
  let a_exponent = exponents(a);
  let q_exponent = exponents(quotient_bits);
  let shift = a_exponent + 150u - q_exponent - exponents(vec4u(b));
  let divisor = i32((b & 0x7fffffu) | 0x800000u);
  let q_significand = significands(quotient_bits);
  let difference = bitcast<vec4i>(
    (significands(a) << (shift & vec4u(31u))) - q_significand * u32(divisor),
  );
  // Below a power of two units are half as large.
  let halved = (q_significand == vec4u(0x800000u)) & (difference < vec4i(0));
  let remainder = select(difference, 2 * difference, halved);
  let twice = 2 * abs(remainder);
  let units = vec4i(twice > vec4i(divisor)) + vec4i(twice > vec4i(3 * divisor)) +
    vec4i(twice > vec4i(5 * divisor));
  let finite = max(a_exponent, q_exponent) < vec4u(255u);
  let normal = min(a_exponent, q_exponent) > vec4u(0u);
  let near = shift - vec4u(22u) < vec4u(4u);
  return select(
    quotient_bits,
    quotient_bits + bitcast<vec4u>(units * sign(remainder)),
    finite & normal & near,
  );
}

fn exponents(bits: vec4u) -> vec4u {
  return (bits >> vec4u(23u)) & vec4u(0xffu);
}

fn significands(bits: vec4u) -> vec4u {
  return (bits & vec4u(0x7fffffu)) | vec4u(0x800000u);
}
