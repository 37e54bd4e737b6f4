// A block's weights with what makes up for errors behind it: t[c] = (feedback[c] - sum over later j of the
// block of t[j] * V[c, j]) / V[c, c], ahead = weight + t. A row a thread, from the last column to the first.
// A thread keeps its row of t in workgroup memory, which no other thread reads.
// Expects: THREADS (u32), STRIDE (u32, columns of the block and 1, which keeps threads out of each other's
// banks).

struct Params {
  rows: u32,
  columns: u32,
  first: u32,
  held: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read> feedback: array<f32>;
@group(0) @binding(3) var<storage, read_write> ahead: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> fed: array<f32, THREADS * STRIDE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = id.x;
  if (row >= params.rows) { return; }
  for (var left = params.held; left > 0u; left--) {
    let c = left - 1u;
    let line = c * params.columns + params.first;
    let at = row * params.columns + params.first + c;
    var rest = feedback[at];
    for (var j = left; j < params.held; j++) { rest -= fed[thread * STRIDE + j] * factor[line + j]; }
    let mine = rest / factor[line + c];
    fed[thread * STRIDE + c] = mine;
    ahead[row * params.held + c] = weight[at] + mine;
  }
}
