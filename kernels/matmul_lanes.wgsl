// y[m, column + n] = sum over k of x[m, k] * weight[row + n, k], plus bias[column + n].
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns.
// Expects: parts/lanes.wgsl, parts/product_lanes.wgsl and what it expects, HALF (bool, weights are
// f16), BIAS (bool).

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  column: u32,
  row: u32,
  stride: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec2f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

alias Sum = f32;

// Eight weights of one row, from inner index 8 * at.
fn weights_of(row: u32, at: u32) -> array<vec4f, 2> {
  let index = row * (params.inner / 8u) + at;
  if (HALF) {
    let packed = weight[index];
    return array(
      vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y)),
      vec4f(unpack2x16float(packed.z), unpack2x16float(packed.w)),
    );
  }
  return array(bitcast<vec4f>(weight[2u * index]), bitcast<vec4f>(weight[2u * index + 1u]));
}

fn weights(column: u32, at: u32) -> Weights {
  let last = params.columns - 1u;
  let w0 = weights_of(params.row + min(column, last), at);
  let w1 = weights_of(params.row + min(column + LANES, last), at);
  let w2 = weights_of(params.row + min(column + 2u * LANES, last), at);
  let w3 = weights_of(params.row + min(column + 3u * LANES, last), at);
  let w4 = weights_of(params.row + min(column + 4u * LANES, last), at);
  let w5 = weights_of(params.row + min(column + 5u * LANES, last), at);
  let w6 = weights_of(params.row + min(column + 6u * LANES, last), at);
  let w7 = weights_of(params.row + min(column + 7u * LANES, last), at);
  return Weights(
    array(mat4x4f(w0[0], w1[0], w2[0], w3[0]), mat4x4f(w4[0], w5[0], w6[0], w7[0])),
    array(mat4x4f(w0[1], w1[1], w2[1], w3[1]), mat4x4f(w4[1], w5[1], w6[1], w7[1])),
  );
}

// A lane's 2 of the 16 values of a row of x from inner index k; none from index end on.
fn values(row: u32, k: u32, end: u32, lane: u32) -> vec2f {
  let held = x[(min(row, params.rows - 1u) * params.inner + k) / 2u + lane];
  return select(vec2f(), held, k + 2u * lane < end);
}

fn write(row: u32, n: u32, value: f32) {
  if (row >= params.rows || n >= params.columns) { return; }
  let column = params.column + n;
  if (BIAS) {
    y[row * params.stride + column] = value + bias[column];
  } else {
    y[row * params.stride + column] = value;
  }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS;
  let column = group.x * 8u * LANES + lane;
  var sums = Sums();
  for (var k = 0u; k < params.inner; k += STEP) {
    let parts = parts_of(row, k, params.inner, lane);
    add_first(&sums, parts, weights(column, k / 8u));
    add_second(&sums, parts, weights(column, min(k / 8u + 1u, params.inner / 8u - 1u)));
  }
  write_rows(
    row,
    column,
    Totals(sums.s0, sums.s1, sums.s2, sums.s3, sums.s4, sums.s5, sums.s6, sums.s7),
  );
}
