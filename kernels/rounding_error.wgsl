// error = what a weight's nearest code stands for - the weight, four values a thread; codes by scale
// and zero of the value's row and group.
// Expects: codes/rounding.wgsl and what it expects, ZERO (u32, zero domain), THREADS (u32).

struct Params {
  quads: u32,
  group_quads: u32,
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<storage, read> weight: array<vec4f>;
@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read> zeros: array<f32>;
@group(0) @binding(3) var<storage, read_write> error: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.y * groups.x * THREADS + id.x;
  if (at >= params.quads) { return; }
  let group = at / params.group_quads;
  let scale = scales[group];
  let zero = zeros[group];
  let value = weight[at];
  let code = clamp(rounded(ZERO, value, scale, zero), vec4f(params.low), vec4f(params.high));
  error[at] = dequantized(ZERO, code, scale, zero) - value;
}
