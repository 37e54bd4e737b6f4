// dy = factor * (exp(logit - largest) / sum - 1 at the target), 0 behind the last column. One thread a
// value.
// Expects: THREADS (u32).

struct Params {
  columns: u32,
  column: u32,
  width: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let c = group.y * THREADS + thread;
  if (c >= params.width) { return; }
  var value = 0f;
  if (c < params.columns) {
    value = exp(logits[row * params.columns + c] - state[3u * row]) / state[3u * row + 1u];
    if (targets[row] == params.column + c) { value -= 1f; }
  }
  dy[row * params.width + c] = params.factor * value;
}
