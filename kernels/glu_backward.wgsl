// Gradients of gates g and what they gate u: dy u s (1 + g (1 - s)) and dy g s, with s = 1 / (1 + exp(-g)),
// four values of each a thread.
// Expects: THREADS (u32).

struct Params {
  quads: u32,
  row: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * THREADS + id.x;
  if (i >= params.quads) { return; }
  let at = i + i / params.row * params.row;
  let gate = x[at];
  let open = 1f / (1f + exp(-gate));
  // Far below 0, where exp overflows, open is 0; far above, 1 - open is.
  dx[at] = dy[i] * x[at + params.row] * open * (1f + gate * (1f - open));
  dx[at + params.row] = dy[i] * gate * open;
}
