// y = x kron(left, S) / sqrt(n), entry by entry, with S the Sylvester matrix of order RIGHT; a thread
// makes one value. For sizes whose power of two is too small to split into quads.
// Expects: LEFT (bool; false stands for the left factor 1), RIGHT (u32), THREADS (u32).

struct Params {
  rows: u32,
  order: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> left: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let size = params.order * RIGHT;
  let j = group.x * THREADS + thread;
  if (j >= size) { return; }
  var sum = 0f;
  for (var i = 0u; i < size; i++) {
    var value = x[group.y * size + i];
    if (LEFT) { value *= left[i / RIGHT * params.order + j / RIGHT]; }
    let odd = countOneBits((i % RIGHT) & (j % RIGHT)) % 2u == 1u;
    sum += select(value, -value, odd);
  }
  y[group.y * size + j] = params.scale * sum;
}
