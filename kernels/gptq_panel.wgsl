// Columns c of a block from last to first, one row a thread: the current weight is w[c] + (codes[c]
// + sum over later j of the block of delta[j] * V[c, j]) / V[c, c]; its code replaces codes[c], and
// delta[c] = w[c] - what the code stands for.
// A thread keeps its row of the block's delta in workgroup memory, which no other thread reads.
// Expects: codes/quantizer.wgsl, parts/quotient.wgsl, THREADS (u32), STRIDE (u32, columns of the block and 1, which keeps threads out of each
// other's banks), ZERO (u32, zero domain).

struct Params {
  rows: u32,
  columns: u32,
  groups: u32,
  first: u32,
  held: u32,
  low: f32,
  high: f32,
  bound: f32,
}

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> group: array<u32>;
@group(0) @binding(4) var<storage, read_write> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> codes: array<f32>;
@group(0) @binding(6) var<storage, read> zeros: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> deltas: array<f32, THREADS * STRIDE>;

// The code of a weight, and what the code stands for.
fn quantize(weight: f32, at: u32) -> vec2f {
  let scale = scales[at];
  var zero = 0f;
  if (ZERO != NONE) { zero = zeros[at]; }
  if (ZERO == PRE_SCALE) {
    let code = clamp(round(quotient(weight, scale) + zero), params.low, params.high);
    return vec2f(code, (code - zero) * scale);
  }
  let code = clamp(round(quotient(weight + zero, scale)), params.low, params.high);
  return vec2f(code, code * scale - zero);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = id.x;
  if (row >= params.rows) { return; }
  for (var left = params.held; left > 0u; left--) {
    let c = left - 1u;
    let column = params.first + c;
    let line = c * params.columns + params.first;
    let at = row * params.columns + column;
    var feedback = codes[at];
    for (var j = left; j < params.held; j++) {
      feedback += deltas[thread * STRIDE + j] * factor[line + j];
    }
    let original = weight[at];
    let current = original + feedback / factor[line + c];
    let made = quantize(
      clamp(current, -params.bound, params.bound),
      row * params.groups + group[column],
    );
    deltas[thread * STRIDE + c] = original - made.y;
    delta[at] = original - made.y;
    codes[at] = made.x;
  }
}
