// The codes of y = activation(gate) * up, which is made anew where it is needed instead of stored; gate
// and up are the halves of a row of x. One workgroup a row.
// Expects: parts/gate.wgsl, parts/half.wgsl, parts/quotient.wgsl, parts/quantize_row.wgsl and
// what they expect.

struct Params {
  columns: u32,
  scale: f32,
  low: f32,
  high: f32,
  clip: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec2f>;
@group(0) @binding(3) var<uniform> params: Params;

fn value_of(row: u32, i: u32) -> vec4f {
  let at = row * (params.columns / 2u) + i;
  return gated(x[at], x[at + params.columns / 4u]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  quantize_row(group.x, thread);
}
