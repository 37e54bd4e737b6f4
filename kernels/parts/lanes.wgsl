// What kernels share that run on one subgroup of 8 lanes: each lane holds 8 columns of weights, and
// 2 of every 16 values of a row, which it hands to the others by broadcast.

const LANES = 8u;

// Weights of a lane's 8 columns for 8 inner indices, 4 and 4: one column a matrix column.
struct Weights {
  low: array<mat4x4f, 2>,
  high: array<mat4x4f, 2>,
}

fn add(a: array<vec4f, 2>, b: array<vec4f, 2>) -> array<vec4f, 2> {
  return array(a[0] + b[0], a[1] + b[1]);
}

fn times(low: vec4f, high: vec4f, w: Weights) -> array<vec4f, 2> {
  return array(low * w.low[0] + high * w.high[0], low * w.low[1] + high * w.high[1]);
}

// What the first 8 of 16 inner indices give for a lane's columns.
fn first_half(part: vec2f, w: Weights) -> array<vec4f, 2> {
  return times(
    vec4f(subgroupBroadcast(part, 0u), subgroupBroadcast(part, 1u)),
    vec4f(subgroupBroadcast(part, 2u), subgroupBroadcast(part, 3u)),
    w,
  );
}

fn second_half(part: vec2f, w: Weights) -> array<vec4f, 2> {
  return times(
    vec4f(subgroupBroadcast(part, 4u), subgroupBroadcast(part, 5u)),
    vec4f(subgroupBroadcast(part, 6u), subgroupBroadcast(part, 7u)),
    w,
  );
}
