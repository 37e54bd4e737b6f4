// y = what the codes of x stand for, by a scale and a zero point of each row, a workgroup a row.
// Expects: parts/half.wgsl, parts/quotient.wgsl, ZERO (bool, rows have zero points), THREADS (u32, a
// power of two).

struct Params {
  rows: u32,
  columns: u32,
  low: f32,
  high: f32,
  divisor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

// Of every thread, the smallest and the largest value; 0 is among them where it changes nothing.
var<workgroup> ends: array<vec2f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let quads = params.columns / 4u;
  let first = row * quads;
  var least = vec4f();
  var most = vec4f();
  for (var i = thread; i < quads; i += THREADS) {
    least = min(least, x[first + i]);
    most = max(most, x[first + i]);
  }
  let low = min(least.xy, least.zw);
  let high = max(most.xy, most.zw);
  ends[thread] = vec2f(min(low.x, low.y), max(high.x, high.y));
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) {
      let other = ends[thread + half_way];
      ends[thread] = vec2f(min(ends[thread].x, other.x), max(ends[thread].y, other.y));
    }
    workgroupBarrier();
  }
  let range = ends[0];
  let span = select(max(-range.x, range.y), range.y - range.x, ZERO);
  var scale = half(quotient(span, params.divisor));
  if (scale == 0f) { scale = 1f; }
  var zero = 0f;
  if (ZERO) { zero = min(round(quotient(-range.x, scale)), params.high); }
  for (var i = thread; i < quads; i += THREADS) {
    let codes = clamp(
      round(quotients(x[first + i], scale) + zero),
      vec4f(params.low),
      vec4f(params.high),
    );
    // By way of integers, which have no negative zero: drivers round -0.5 to either. Counted from the
    // lowest, for compilers take there and back alone for what cuts digits off, with its sign.
    let steps = vec4f(vec4i(codes - params.low) + vec4i(i32(params.low)));
    y[first + i] = (steps - zero) * scale;
  }
}
