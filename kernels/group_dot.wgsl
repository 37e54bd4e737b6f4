// y[row, group] = sum over the group's columns of a[row, c] * b[row, c]. One thread a group.
// Expects: THREADS (u32).

struct Params {
  groups: u32,
  group_quads: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) count: vec3u) {
  let group = id.y * count.x * THREADS + id.x;
  if (group >= params.groups) { return; }
  var sum = 0f;
  for (var quad = 0u; quad < params.group_quads; quad++) {
    let at = group * params.group_quads + quad;
    sum += dot(a[at], b[at]);
  }
  y[group] = sum;
}
