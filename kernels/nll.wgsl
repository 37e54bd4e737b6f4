// Folds columns of logits into what the log-likelihood of a target needs: for each row the largest
// logit so far, the sum of exp(logit - largest), and the target's logit. One workgroup a row.
// Expects: FIRST (bool, the state is not yet set).

struct Params {
  columns: u32,
  column: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const THREADS = 256u;
const LOWEST = -3.4028234e38;

var<workgroup> largest: array<f32, THREADS>;
var<workgroup> sums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let first = row * params.columns;
  var top = LOWEST;
  for (var c = thread; c < params.columns; c += THREADS) { top = max(top, logits[first + c]); }
  largest[thread] = top;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { largest[thread] = max(largest[thread], largest[thread + half]); }
    workgroupBarrier();
  }
  top = largest[0];
  var before = 0f;
  if (!FIRST) {
    let old = state[3u * row];
    let higher = max(top, old);
    before = state[3u * row + 1u] * exp(old - higher);
    top = higher;
  }
  var sum = 0f;
  // In parts of 64: added to a sum of thousands, the last bits of each would be lost.
  for (var block = thread; block < params.columns; block += 64u * THREADS) {
    let end = min(block + 64u * THREADS, params.columns);
    var part = 0f;
    for (var c = block; c < end; c += THREADS) { part += exp(logits[first + c] - top); }
    sum += part;
  }
  sums[thread] = sum;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { sums[thread] += sums[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) {
    state[3u * row] = top;
    state[3u * row + 1u] = before + sums[0];
    // A target before `column` wraps to a large offset.
    let offset = targets[row] - params.column;
    if (offset < params.columns) {
      state[3u * row + 2u] = logits[first + offset];
    } else if (FIRST) {
      state[3u * row + 2u] = 0f;
    }
  }
}
