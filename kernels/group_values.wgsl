// x[m, k] = code[m, k] * scale of its group. A word of four codes a thread.
// Expects: THREADS (u32).

struct Params {
  words: u32,
  group: u32,
}

@group(0) @binding(0) var<storage, read> codes: array<u32>;
@group(0) @binding(1) var<storage, read> groups: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.words) { return; }
  let scale = groups[id.y * (4u * params.words / params.group) + 4u * id.x / params.group].x;
  let at = id.y * params.words + id.x;
  x[at] = vec4f(unpack4xI8(codes[at])) * scale;
}
