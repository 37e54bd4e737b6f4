// What the shaders of a product with 4- or 8-bit weights share: bindings, weights as floats, and
// the writing of a finished sum.
// Expects: parts/packed_product.wgsl, codes/quantizer.wgsl, NIBBLES (bool, codes have 4 bits, else 8), ZERO
// (u32, zero domain; codes are signed without zero points), GROUP (u32, inner values that share a scale, known
// here so that nothing is divided by it; 0 where all of a row do), BIAS (bool).

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read> groups: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> bounds: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

// Scale and zero of a group; eight weights; a sum of products.
alias Group = vec2f;
alias Eight = array<vec4f, 2>;
alias Sum = f32;

// Scale and zero of inner index k of a row.
fn group_of(row: u32, k: u32) -> Group {
  if (GROUP == 0u) { return unpack2x16float(groups[row]); }
  let size = max(GROUP, 1u);
  return unpack2x16float(groups[row * (params.inner / size) + k / size]);
}

// Four codes from the low 16 bits of a word.
fn nibbles(word: u32) -> vec4f {
  let high = bitcast<vec4i>(vec4u(word << 28u, word << 24u, word << 20u, word << 16u));
  if (ZERO != NONE) { return vec4f(bitcast<vec4i>(bitcast<vec4u>(high) >> vec4u(28u))); }
  return vec4f(high >> vec4u(28u));
}

fn bytes(word: u32) -> vec4f {
  if (ZERO != NONE) { return vec4f(bitcast<vec4i>(unpack4xU8(word))); }
  return vec4f(unpack4xI8(word));
}

fn weights_by(group: Group, codes: vec4f) -> vec4f {
  return dequantized(ZERO, codes, group.x, group.y);
}

// Eight weights of a row, from inner index 8 * at.
fn weights_of(row: u32, at: u32, group: Group) -> Eight {
  if (NIBBLES) {
    let held = weight[row * (params.inner / 8u) + at];
    return array(weights_by(group, nibbles(held)), weights_by(group, nibbles(held >> 16u)));
  }
  let index = row * (params.inner / 4u) + 2u * at;
  return array(
    weights_by(group, bytes(weight[index])),
    weights_by(group, bytes(weight[index + 1u])),
  );
}

// Adds eight weights times the values of x from word 2 * at of a row, one after another.
fn add_products(sum: Sum, row: u32, at: u32, weights: Eight) -> Sum {
  let from_x = row * (params.inner / 4u) + 2u * at;
  return add_four(add_four(sum, x[from_x], weights[0]), x[from_x + 1u], weights[1]);
}

fn add_four(sum: f32, a: vec4f, b: vec4f) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// Writes a sum of column n to a row of y; `weight` is the row of the weight that made it.
fn write(row: u32, n: u32, weight: u32, sum: Sum) {
  let column = params.column + n;
  var value = sum;
  if (BIAS) { value += bias[column]; }
  y[row * params.stride + column] = value;
}
