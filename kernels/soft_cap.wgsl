// x = cap * tanh(x / cap), in place, a value a thread.
// Expects: parts/soft_cap.wgsl and what it expects, THREADS (u32).

struct Params {
  count: u32,
  cap: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = id.y * groups.x * THREADS + id.x;
  if (i < params.count) { x[i] = soft_capped(x[i], params.cap); }
}
