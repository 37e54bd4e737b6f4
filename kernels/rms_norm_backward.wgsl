// sum += r (g - x r^2 mean(x g)) with r = 1 / sqrt(mean(x x) + eps) and g = dy gain, a workgroup a row.
// Expects: THREADS (u32, a power of two).

struct Params {
  columns: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

// Of every thread, squares of x and products of x and g.
var<workgroup> sums: array<vec2f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quads = params.columns / 4u;
  let first = group.x * quads;
  var own = vec2f();
  for (var i = thread; i < quads; i += THREADS) {
    let value = x[first + i];
    own += vec2f(dot(value, value), dot(value, dy[first + i] * gain[i]));
  }
  sums[thread] = own;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { sums[thread] += sums[thread + half_way]; }
    workgroupBarrier();
  }
  let means = sums[0] / f32(params.columns);
  let factor = inverseSqrt(means.x + params.eps);
  let along = factor * factor * means.y;
  for (var i = thread; i < quads; i += THREADS) {
    sum[first + i] += factor * (dy[first + i] * gain[i] - along * x[first + i]);
  }
}
