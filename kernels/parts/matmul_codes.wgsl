// What the shaders of a product with 4- or 8-bit weights share: bindings, weights as floats, and
// the writing of a finished sum.
// Expects: NIBBLES (bool, codes have 4 bits, else 8), PRE_SCALE, POST_SCALE (bool, which zero points
// there are; codes are signed without), BIAS (bool).

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  column: u32,
  row: u32,
  stride: u32,
  group: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read> groups: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const UNSIGNED = PRE_SCALE || POST_SCALE;

// Scale and zero of inner index k of a row.
fn group_of(row: u32, k: u32) -> vec2f {
  return unpack2x16float(groups[row * (params.inner / params.group) + k / params.group]);
}

// Four codes from the low 16 bits of a word.
fn nibbles(word: u32) -> vec4f {
  let high = bitcast<vec4i>(vec4u(word << 28u, word << 24u, word << 20u, word << 16u));
  if (UNSIGNED) { return vec4f(bitcast<vec4i>(bitcast<vec4u>(high) >> vec4u(28u))); }
  return vec4f(high >> vec4u(28u));
}

fn bytes(word: u32) -> vec4f {
  if (UNSIGNED) { return vec4f(bitcast<vec4i>(unpack4xU8(word))); }
  return vec4f(unpack4xI8(word));
}

fn dequantized(codes: vec4f, group: vec2f) -> vec4f {
  if (PRE_SCALE) { return (codes - group.y) * group.x; }
  if (POST_SCALE) { return codes * group.x - group.y; }
  return codes * group.x;
}

// Eight weights of a row, from inner index 8 * at.
fn weights_of(row: u32, at: u32, group: vec2f) -> array<vec4f, 2> {
  if (NIBBLES) {
    let held = weight[row * (params.inner / 8u) + at];
    return array(dequantized(nibbles(held), group), dequantized(nibbles(held >> 16u), group));
  }
  let index = row * (params.inner / 4u) + 2u * at;
  return array(
    dequantized(bytes(weight[index]), group),
    dequantized(bytes(weight[index + 1u]), group),
  );
}

fn write(row: u32, n: u32, sum: f32) {
  if (row >= params.rows || n >= params.columns) { return; }
  let column = params.column + n;
  var value = sum;
  if (BIAS) { value += bias[column]; }
  y[row * params.stride + column] = value;
}
