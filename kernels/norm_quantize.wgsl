// The codes of y = x / sqrt(mean(x * x) + eps) * gain + bias, which is made anew where it is needed instead of
// stored.
// Expects: parts/half.wgsl, parts/quotient.wgsl, parts/normalize_row.wgsl, parts/quantize_row.wgsl and what they expect.

struct Params {
  columns: u32,
  eps: f32,
  scale: f32,
  low: f32,
  high: f32,
  clip: f32,
}

@group(0) @binding(4) var<storage, read_write> codes: array<u32>;
@group(0) @binding(5) var<storage, read_write> rows: array<vec2f>;
@group(0) @binding(6) var<uniform> params: Params;

var<private> normal: f32;

fn value_of(row: u32, i: u32) -> vec4f {
  return normalized(row, i, normal);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  normal = normal_of(group.x, thread);
  quantize_row(group.x, thread);
}
