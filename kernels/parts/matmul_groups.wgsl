// What the shaders of the product in groups share: bindings, weights as bytes, and the scaling of sums.
// Expects: parts/packed_product.wgsl, OUTLIERS (bool, the last group of a weight has bytes), BIAS (bool).

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> x_groups: array<vec2f>;
@group(0) @binding(2) var<storage, read> weight: array<u32>;
@group(0) @binding(3) var<storage, read> w_groups: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read> bounds: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

// Four nibbles as four bytes.
fn spread(nibbles: u32) -> u32 {
  let pairs = (nibbles | (nibbles << 8u)) & 0x00ff00ffu;
  return (pairs | (pairs << 4u)) & 0x0f0f0f0fu;
}

// Eight weights of a row as bytes, from inner index 8 * at.
fn weights_of(row: u32, at: u32) -> vec2u {
  let eights = params.inner / 8u;
  if (!OUTLIERS) {
    let held = weight[row * eights + at];
    return vec2u(spread(held & 0xffffu), spread(held >> 16u));
  }
  let outliers = params.group / 8u;
  let first = row * (eights + outliers);
  let nibbles = eights - outliers;
  if (at < nibbles) {
    let held = weight[first + at];
    return vec2u(spread(held & 0xffffu), spread(held >> 16u));
  }
  let index = first + nibbles + 2u * (at - nibbles);
  return vec2u(weight[index], weight[index + 1u]);
}

// A group's sum of products with a row of weights, less the zero's part, under the weight's scale.
fn scaled(sum: i32, row: u32, m: u32, group: u32) -> f32 {
  let count = params.inner / params.group;
  let held = w_groups[row * count + group];
  let zero = i32(held >> 16u) * i32(x_groups[m * count + group].y);
  return f32(sum - zero) * unpack2x16float(held).x;
}

// Adds a group's part under the input's scale; with fma, since a driver might contract it in one shader
// and not in another.
fn add_group(total: f32, part: f32, m: u32, group: u32) -> f32 {
  return fma(part, x_groups[m * (params.inner / params.group) + group].x, total);
}

fn write(row: u32, n: u32, total: f32) {
  let column = params.column + n;
  var value = total;
  if (BIAS) { value += bias[column]; }
  y[row * params.stride + column] = value;
}
