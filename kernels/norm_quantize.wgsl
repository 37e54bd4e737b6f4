// The codes of y = x / sqrt(mean(x * x) + eps) * gain, which is made anew where it is needed instead of
// stored; with a residual, x + residual takes the place of x and is written back to the residual.
// One workgroup a row; sums are in the order of rms_norm.wgsl.
// Expects: parts/half.wgsl, parts/quantize_row.wgsl, RESIDUAL (bool), STATIC (bool, params.scale is the
// scale), THREADS (u32, a power of two).

struct Params {
  columns: u32,
  eps: f32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> residual: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> codes: array<u32>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> partial: array<f32, THREADS>;
// What a row is multiplied by before its gain.
var<private> normal: f32;

fn value_of(row: u32, i: u32) -> vec4f {
  let at = row * (params.columns / 4u) + i;
  if (RESIDUAL) { return residual[at] * normal * gain[i]; }
  return x[at] * normal * gain[i];
}

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
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { partial[thread] += partial[thread + half_way]; }
    workgroupBarrier();
  }
  normal = inverseSqrt(partial[0] / f32(params.columns) + params.eps);
  quantize_row(group.x, thread);
}
