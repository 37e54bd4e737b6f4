// Signed codes of groups of a row: code = clamp(round(x / scale), low, high), with scale = f16(clip max |x|
// / high), and the sum of a group's codes. A workgroup a group.
// Expects: parts/half.wgsl, parts/quotient.wgsl, ORDERED (bool, columns come in `order`), OUTLIERS (bool,
// the last group has 8 bits and is not clipped), THREADS (u32, a power of two).

struct Params {
  columns: u32,
  group: u32,
  low: f32,
  high: f32,
  clip: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
@group(0) @binding(3) var<storage, read_write> groups: array<vec2f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> largest: array<f32, THREADS>;
var<workgroup> sums: array<i32, THREADS>;

fn value_of(row: u32, place: u32) -> f32 {
  var column = place;
  if (ORDERED) { column = order[place]; }
  return x[row * params.columns + column];
}

fn four_of(row: u32, place: u32) -> vec4f {
  return vec4f(
    value_of(row, place),
    value_of(row, place + 1u),
    value_of(row, place + 2u),
    value_of(row, place + 3u),
  );
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = id.y;
  let count = params.columns / params.group;
  let first = id.x * params.group;
  var low = params.low;
  var high = params.high;
  var clip = params.clip;
  if (OUTLIERS && id.x == count - 1u) {
    low = -127f;
    high = 127f;
    clip = 1f;
  }
  var most = vec4f();
  for (var i = 4u * thread; i < params.group; i += 4u * THREADS) {
    most = max(most, abs(four_of(row, first + i)));
  }
  let pair = max(most.xy, most.zw);
  largest[thread] = max(pair.x, pair.y);
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { largest[thread] = max(largest[thread], largest[thread + half_way]); }
    workgroupBarrier();
  }
  var scale = half(quotient(clip * largest[0], high));
  if (scale == 0f) { scale = 1f; }
  var sum = vec4i();
  for (var i = 4u * thread; i < params.group; i += 4u * THREADS) {
    let real = quotients(four_of(row, first + i), scale);
    let code = vec4i(clamp(round(real), vec4f(low), vec4f(high)));
    codes[(row * params.columns + first + i) / 4u] = pack4xI8(code);
    sum += code;
  }
  sums[thread] = sum.x + sum.y + sum.z + sum.w;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { sums[thread] += sums[thread + half_way]; }
    workgroupBarrier();
  }
  if (thread == 0u) { groups[row * count + id.x] = vec2f(scale, f32(sums[0])); }
}
