// y[m, column + n] = sum over k of x[m, k] * weight[row + n, k], plus bias[column + n].
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/lanes.wgsl, ROWS (u32: 1, 2, 4 or 8), HALF (bool, weights are f16), BIAS (bool).

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

const STEP = 16u;

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
  let row = group.y * ROWS;
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
    var p1 = vec2f();
    var p2 = vec2f();
    var p3 = vec2f();
    var p4 = vec2f();
    var p5 = vec2f();
    var p6 = vec2f();
    var p7 = vec2f();
    if (ROWS >= 2u) { p1 = values(row + 1u, k, lane); }
    if (ROWS >= 4u) {
      p2 = values(row + 2u, k, lane);
      p3 = values(row + 3u, k, lane);
    }
    if (ROWS >= 8u) {
      p4 = values(row + 4u, k, lane);
      p5 = values(row + 5u, k, lane);
      p6 = values(row + 6u, k, lane);
      p7 = values(row + 7u, k, lane);
    }
    let a = weights(column, k / 8u);
    s0 = add(s0, first_half(p0, a));
    if (ROWS >= 2u) { s1 = add(s1, first_half(p1, a)); }
    if (ROWS >= 4u) {
      s2 = add(s2, first_half(p2, a));
      s3 = add(s3, first_half(p3, a));
    }
    if (ROWS >= 8u) {
      s4 = add(s4, first_half(p4, a));
      s5 = add(s5, first_half(p5, a));
      s6 = add(s6, first_half(p6, a));
      s7 = add(s7, first_half(p7, a));
    }
    let b = weights(column, min(k / 8u + 1u, params.inner / 8u - 1u));
    s0 = add(s0, second_half(p0, b));
    if (ROWS >= 2u) { s1 = add(s1, second_half(p1, b)); }
    if (ROWS >= 4u) {
      s2 = add(s2, second_half(p2, b));
      s3 = add(s3, second_half(p3, b));
    }
    if (ROWS >= 8u) {
      s4 = add(s4, second_half(p4, b));
      s5 = add(s5, second_half(p5, b));
      s6 = add(s6, second_half(p6, b));
      s7 = add(s7, second_half(p7, b));
    }
  }
  write_row(row, column, s0);
  if (ROWS >= 2u) { write_row(row + 1u, column, s1); }
  if (ROWS >= 4u) {
    write_row(row + 2u, column, s2);
    write_row(row + 3u, column, s3);
  }
  if (ROWS >= 8u) {
    write_row(row + 4u, column, s4);
    write_row(row + 5u, column, s5);
    write_row(row + 6u, column, s6);
    write_row(row + 7u, column, s7);
  }
}
