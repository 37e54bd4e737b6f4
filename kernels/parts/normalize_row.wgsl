// What the shaders that normalize rows share: x / sqrt(mean(x * x) + eps) * gain + bias, of x less its
// mean where rows are centered; with a residual, x + residual takes the place of x and is written back
// to the residual. One workgroup a row.
// Expects: params.columns and params.eps, RESIDUAL, CENTERED and BIAS (bool), THREADS (u32, a power of
// two), sum_of() as parts/row_shared.wgsl has it.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> residual: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;

// The mean of a row that is centered.
var<private> middle: f32;

// Four values of a row as they are normalized.
fn given(at: u32) -> vec4f {
  if (RESIDUAL) { return residual[at]; }
  return x[at];
}

// What a row is multiplied by before its gain; adds it to the residual on the way.
fn normal_of(row: u32, thread: u32) -> f32 {
  let quads = params.columns / 4u;
  let first = row * quads;
  let columns = f32(params.columns);
  var sum = 0f;
  for (var i = thread; i < quads; i += THREADS) {
    var value = x[first + i];
    if (RESIDUAL) {
      value += residual[first + i];
      residual[first + i] = value;
    }
    sum += dot(value, select(value, vec4f(1f), CENTERED));
  }
  var total = sum_of(thread, sum);
  if (CENTERED) {
    middle = total / columns;
    var squares = 0f;
    for (var i = thread; i < quads; i += THREADS) {
      let value = given(first + i) - middle;
      squares += dot(value, value);
    }
    total = sum_of(thread, squares);
  }
  return inverseSqrt(total / columns + params.eps);
}

// Four values of a row by its normal.
fn normalized(row: u32, i: u32, normal: f32) -> vec4f {
  var value = given(row * (params.columns / 4u) + i);
  if (CENTERED) { value -= middle; }
  value = value * normal * gain[i];
  if (BIAS) { value += bias[i]; }
  return value;
}
