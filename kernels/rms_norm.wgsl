// y = x / sqrt(mean(x * x) + eps) * gain, a row at a time; with a residual, x + residual takes the
// place of x and is written back to the residual. One workgroup a row.
// Expects: RESIDUAL (bool), THREADS (u32, a power of two).

struct Params {
  columns: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> residual: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quads = params.columns / 4u;
  let first = group.x * quads;
  var squares = 0f;
  for (var i = thread; i < quads; i += THREADS) {
    var value = x[first + i];
    if (RESIDUAL) {
      value += residual[first + i];
      residual[first + i] = value;
    }
    squares += dot(value, value);
  }
  partial[thread] = squares;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] += partial[thread + half]; }
    workgroupBarrier();
  }
  let scale = inverseSqrt(partial[0] / f32(params.columns) + params.eps);
  for (var i = thread; i < quads; i += THREADS) {
    var value = x[first + i];
    if (RESIDUAL) { value = residual[first + i]; }
    y[first + i] = value * scale * gain[i];
  }
}
