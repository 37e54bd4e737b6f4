// y[m, j] = x[m, j] * factors[owners[m], j], four values a thread.
// Expects: THREADS (u32).

struct Params {
  quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> owners: array<u32>;
@group(0) @binding(2) var<storage, read> factors: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.quads) { return; }
  let at = id.y * params.quads + id.x;
  y[at] = x[at] * factors[owners[id.y] * params.quads + id.x];
}
