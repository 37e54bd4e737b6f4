// code[m, k] = clamp(round(x[m, k] / scale[m]), -127, 127), with scale[m] = f16(max |x[m, :]| / 127) or
// one for all rows, and sum[m] = scale[m] * sum over k of code[m, k]. A workgroup a row, a word of 4
// codes a thread.
// Expects: parts/half.wgsl, STATIC (bool, params.scale is the scale), THREADS (u32, a power of two).

struct Params {
  columns: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec2f>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> largest: array<f32, THREADS>;
var<workgroup> sums: array<i32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quads = params.columns / 4u;
  let first = group.x * quads;
  var scale = params.scale;
  if (!STATIC) {
    var most = vec4f();
    for (var i = thread; i < quads; i += THREADS) { most = max(most, abs(x[first + i])); }
    let pair = max(most.xy, most.zw);
    largest[thread] = max(pair.x, pair.y);
    workgroupBarrier();
    for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
      if (thread < half_way) { largest[thread] = max(largest[thread], largest[thread + half_way]); }
      workgroupBarrier();
    }
    scale = half(largest[0] / 127f);
    if (scale == 0f) { scale = 1f; }
  }
  var sum = vec4i();
  for (var i = thread; i < quads; i += THREADS) {
    let code = vec4i(clamp(round(x[first + i] / scale), vec4f(-127f), vec4f(127f)));
    codes[first + i] = pack4xI8(code);
    sum += code;
  }
  sums[thread] = sum.x + sum.y + sum.z + sum.w;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { sums[thread] += sums[thread + half_way]; }
    workgroupBarrier();
  }
  if (thread == 0u) { rows[group.x] = vec2f(scale, f32(sums[0]) * scale); }
}
