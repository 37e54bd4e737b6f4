// y = gate / (1 + exp(-gate)) * up, four values a thread.
// Expects: HALVES (bool, gate and up are the halves of rows of `gate`), THREADS (u32).

struct Params {
  quads: u32,
  row: u32,
}

@group(0) @binding(0) var<storage, read> gate: array<vec4f>;
@group(0) @binding(1) var<storage, read> up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = id.y * groups.x * THREADS + id.x;
  if (i >= params.quads) { return; }
  if (HALVES) {
    let at = i + i / params.row * params.row;
    let g = gate[at];
    y[i] = g / (1f + exp(-g)) * gate[at + params.row];
  } else {
    let g = gate[i];
    y[i] = g / (1f + exp(-g)) * up[i];
  }
}
