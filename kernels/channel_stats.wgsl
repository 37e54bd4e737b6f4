// For each channel (column) of x: the largest magnitude, the sum of magnitudes and the sum of squares
// over all rows, joined with what the statistics held before. One thread a channel quad.
// Expects: THREADS (u32).

struct Params {
  rows: u32,
  quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> stats: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quad = id.x;
  if (quad >= params.quads) { return; }
  var largest = vec4f();
  var sum = vec4f();
  var squares = vec4f();
  for (var row = 0u; row < params.rows; row++) {
    let value = x[row * params.quads + quad];
    largest = max(largest, abs(value));
    sum += abs(value);
    squares += value * value;
  }
  stats[quad] = max(stats[quad], largest);
  stats[params.quads + quad] += sum;
  stats[2u * params.quads + quad] += squares;
}
