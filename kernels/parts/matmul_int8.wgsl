// What the shaders of the integer product share: bindings, weights as signed bytes, and the scaling
// of a finished sum.
// Expects: parts/packed_product.wgsl, Words (u32 or vec4u, what a load brings), NIBBLES (bool, weights have
// 4 bits), GROUPED (bool, with 8-bit scales by group), BIAS (bool).

@group(0) @binding(0) var<storage, read> x: array<Words>;
@group(0) @binding(1) var<storage, read> x_rows: array<vec2f>;
@group(0) @binding(2) var<storage, read> weight: array<Words>;
@group(0) @binding(3) var<storage, read> w_rows: array<vec2f>;
@group(0) @binding(4) var<storage, read> groups: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read> bounds: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

// What turns codes of a group into bytes: a factor, and a byte to subtract from each; eight weights;
// a sum of products.
alias Group = vec2u;
alias Eight = vec2u;
alias Sum = i32;

// Four nibbles as four bytes.
fn spread(nibbles: u32) -> u32 {
  let pairs = (nibbles | (nibbles << 8u)) & 0x00ff00ffu;
  return (pairs | (pairs << 4u)) & 0x0f0f0f0fu;
}

// Byte by byte, wrapping.
fn subtract_bytes(a: u32, b: u32) -> u32 {
  return ((a | 0x80808080u) - (b & 0x7f7f7f7fu)) ^ ((a ^ ~b) & 0x80808080u);
}

// A group's factor and byte, from its 16 bits.
fn unpacked_group(held: u32) -> Group {
  return vec2u(held & 0xffu, ((held >> 8u) & 0xffu) * 0x01010101u);
}

// Eight weights as signed bytes, from a word of nibbles.
fn bytes_of(held: u32, group: Group) -> Eight {
  let codes = vec2u(spread(held & 0xffffu), spread(held >> 16u));
  if (!GROUPED) { return codes; }
  return vec2u(
    subtract_bytes(codes.x * group.x, group.y),
    subtract_bytes(codes.y * group.x, group.y),
  );
}

// Writes a sum of column n to a row of y; `weight` is the row of the weight that made it.
fn write(row: u32, n: u32, weight: u32, sum: Sum) {
  let by_row = x_rows[row];
  let by_column = w_rows[weight];
  let column = params.column + n;
  let scaled = f32(sum) * by_column.x;
  var value = scaled * by_row.x;
  // With fma, since a driver might contract a product and a sum in one shader and not in another.
  if (NIBBLES && !GROUPED) {
    value = fma(-by_column.y, by_row.y, value);
    if (BIAS) { value += bias[column]; }
  } else if (BIAS) {
    value = fma(scaled, by_row.x, bias[column]);
  }
  y[row * params.stride + column] = value;
}
