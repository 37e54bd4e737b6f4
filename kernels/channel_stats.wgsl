// For each channel (column) of x: the largest magnitude, the sum of magnitudes and the sum of squares
// over all rows, joined with what the statistics held before. One thread a channel quad.
// Expects: EXPERTS (bool, only the rows of one expert are looked at), THREADS (u32).

struct Params {
  rows: u32,
  quads: u32,
  expert: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> stats: array<vec4f>;
@group(0) @binding(2) var<storage, read> bounds: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quad = id.x;
  if (quad >= params.quads) { return; }
  var largest = vec4f();
  var sum = vec4f();
  var squares = vec4f();
  var begin = 0u;
  var end = params.rows;
  if (EXPERTS) {
    begin = bounds[params.expert];
    end = bounds[params.expert + 1u];
  }
  for (var row = begin; row < end; row++) {
    let value = x[row * params.quads + quad];
    largest = max(largest, abs(value));
    sum += abs(value);
    squares += value * value;
  }
  stats[quad] = max(stats[quad], largest);
  stats[params.quads + quad] += sum;
  stats[2u * params.quads + quad] += squares;
}
