// y = activation(gate) * up, four values a thread.
// Expects: parts/gate.wgsl and what it expects, HALVES (bool, gate and up are the halves of rows of
// `gate`), THREADS (u32).

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
    y[i] = gated(gate[at], gate[at + params.row]);
  } else {
    y[i] = gated(gate[i], up[i]);
  }
}
