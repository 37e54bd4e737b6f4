// y[m, column + n] = sum over k of x[m, k] * weight[row + n, k], plus bias[column + n].
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes 8 rows by 64 columns. Each lane holds 8 columns of weights, and 2 of
// every 16 values of each row of x, which it hands to the others by broadcast.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: HALF (bool, weights are f16), BIAS (bool).

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

const LANES = 8u;
const TILE_ROWS = 8u;
const STEP = 16u;

// Weights of a lane's 8 columns for 8 inner indices: one column of weights a matrix column.
struct Weights {
  low: array<mat4x4f, 2>,
  high: array<mat4x4f, 2>,
}

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

// A lane's 2 of the 16 values of a row of x from inner index k.
fn values(row: u32, k: u32, lane: u32) -> vec2f {
  let held = x[(min(row, params.rows - 1u) * params.inner + k) / 2u + lane];
  return select(vec2f(), held, k + 2u * lane < params.inner);
}

fn times(low: vec4f, high: vec4f, w: Weights) -> array<vec4f, 2> {
  return array(low * w.low[0] + high * w.high[0], low * w.low[1] + high * w.high[1]);
}

// Adds the first 8 of 16 inner indices to the sums of a row.
fn first_half(sum: array<vec4f, 2>, part: vec2f, w: Weights) -> array<vec4f, 2> {
  let low = vec4f(subgroupBroadcast(part, 0u), subgroupBroadcast(part, 1u));
  let high = vec4f(subgroupBroadcast(part, 2u), subgroupBroadcast(part, 3u));
  let product = times(low, high, w);
  return array(sum[0] + product[0], sum[1] + product[1]);
}

fn second_half(sum: array<vec4f, 2>, part: vec2f, w: Weights) -> array<vec4f, 2> {
  let low = vec4f(subgroupBroadcast(part, 4u), subgroupBroadcast(part, 5u));
  let high = vec4f(subgroupBroadcast(part, 6u), subgroupBroadcast(part, 7u));
  let product = times(low, high, w);
  return array(sum[0] + product[0], sum[1] + product[1]);
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

fn write_row(row: u32, n: u32, sum: array<vec4f, 2>) {
  write(row, n, sum[0].x);
  write(row, n + LANES, sum[0].y);
  write(row, n + 2u * LANES, sum[0].z);
  write(row, n + 3u * LANES, sum[0].w);
  write(row, n + 4u * LANES, sum[1].x);
  write(row, n + 5u * LANES, sum[1].y);
  write(row, n + 6u * LANES, sum[1].z);
  write(row, n + 7u * LANES, sum[1].w);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * TILE_ROWS;
  let column = group.x * 8u * LANES + lane;
  var s0 = array(vec4f(), vec4f());
  var s1 = array(vec4f(), vec4f());
  var s2 = array(vec4f(), vec4f());
  var s3 = array(vec4f(), vec4f());
  var s4 = array(vec4f(), vec4f());
  var s5 = array(vec4f(), vec4f());
  var s6 = array(vec4f(), vec4f());
  var s7 = array(vec4f(), vec4f());
  for (var k = 0u; k < params.inner; k += STEP) {
    let p0 = values(row, k, lane);
    let p1 = values(row + 1u, k, lane);
    let p2 = values(row + 2u, k, lane);
    let p3 = values(row + 3u, k, lane);
    let p4 = values(row + 4u, k, lane);
    let p5 = values(row + 5u, k, lane);
    let p6 = values(row + 6u, k, lane);
    let p7 = values(row + 7u, k, lane);
    let a = weights(column, k / 8u);
    s0 = first_half(s0, p0, a);
    s1 = first_half(s1, p1, a);
    s2 = first_half(s2, p2, a);
    s3 = first_half(s3, p3, a);
    s4 = first_half(s4, p4, a);
    s5 = first_half(s5, p5, a);
    s6 = first_half(s6, p6, a);
    s7 = first_half(s7, p7, a);
    let b = weights(column, min(k / 8u + 1u, params.inner / 8u - 1u));
    s0 = second_half(s0, p0, b);
    s1 = second_half(s1, p1, b);
    s2 = second_half(s2, p2, b);
    s3 = second_half(s3, p3, b);
    s4 = second_half(s4, p4, b);
    s5 = second_half(s5, p5, b);
    s6 = second_half(s6, p6, b);
    s7 = second_half(s7, p7, b);
  }
  write_row(row, column, s0);
  write_row(row + 1u, column, s1);
  write_row(row + 2u, column, s2);
  write_row(row + 3u, column, s3);
  write_row(row + 4u, column, s4);
  write_row(row + 5u, column, s5);
  write_row(row + 6u, column, s6);
  write_row(row + 7u, column, s7);
}
