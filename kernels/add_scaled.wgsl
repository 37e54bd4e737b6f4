// sum = sum + x * factor, four values a thread.
// Expects: THREADS (u32).

struct Params {
  quads: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = id.y * groups.x * THREADS + id.x;
  if (i >= params.quads) { return; }
  sum[i] += x[i] * params.factor;
}
