// y = x / sqrt(mean(x * x) + eps) * gain + bias, a row at a time, centered or not.
// Expects: parts/normalize_row.wgsl and what it expects.

struct Params {
  columns: u32,
  eps: f32,
}

@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let quads = params.columns / 4u;
  let normal = normal_of(row, thread);
  for (var i = thread; i < quads; i += THREADS) {
    y[row * quads + i] = normalized(row, i, normal);
  }
}
