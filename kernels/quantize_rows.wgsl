// Signed 8-bit codes of rows, see parts/quantize_row.wgsl.
// Expects: parts/half.wgsl, parts/quotient.wgsl, parts/quantize_row.wgsl and what it expects.

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
  return x[row * (params.columns / 4u) + i];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  quantize_row(group.x, thread);
}
