// What the shaders that normalize rows share: x / sqrt(mean(x * x) + eps) * gain; with a residual,
// x + residual takes the place of x and is written back to the residual. One workgroup a row.
// Expects: params.columns and params.eps, RESIDUAL (bool), THREADS (u32, a power of two).

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> residual: array<vec4f>;

var<workgroup> squares: array<f32, THREADS>;

// What a row is multiplied by before its gain; adds it to the residual on the way.
fn normal_of(row: u32, thread: u32) -> f32 {
  let quads = params.columns / 4u;
  let first = row * quads;
  var sum = 0f;
  for (var i = thread; i < quads; i += THREADS) {
    var value = x[first + i];
    if (RESIDUAL) {
      value += residual[first + i];
      residual[first + i] = value;
    }
    sum += dot(value, value);
  }
  squares[thread] = sum;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { squares[thread] += squares[thread + half_way]; }
    workgroupBarrier();
  }
  return inverseSqrt(squares[0] / f32(params.columns) + params.eps);
}

// Four values of a row by its normal.
fn normalized(row: u32, i: u32, normal: f32) -> vec4f {
  let at = row * (params.columns / 4u) + i;
  if (RESIDUAL) { return residual[at] * normal * gain[i]; }
  return x[at] * normal * gain[i];
}
