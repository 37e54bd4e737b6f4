// Folds columns of two models' logits into what divergence from the baseline p to q needs: for each
// row the largest of both and its column, sums of exp(p - largest p), of that times (p - q), of
// exp(q - largest q), and both logits of the target. One workgroup a row, one pass over it.
// Expects: FIRST (bool, the state is not yet set).

struct Params {
  columns: u32,
  column: u32,
}

@group(0) @binding(0) var<storage, read> baseline: array<f32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> top: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const THREADS = 256u;
const LOWEST = -3.4028234e38;

struct Fold {
  largest_p: f32,
  sum_p: f32,
  weighted: f32,
  at_p: u32,
  largest_q: f32,
  sum_q: f32,
  at_q: u32,
}

var<workgroup> folds: array<Fold, THREADS>;

// The lower column wins where the largest logits are equal.
fn join(a: Fold, b: Fold) -> Fold {
  var c: Fold;
  c.largest_p = max(a.largest_p, b.largest_p);
  let a_p = exp(a.largest_p - c.largest_p);
  let b_p = exp(b.largest_p - c.largest_p);
  c.sum_p = a.sum_p * a_p + b.sum_p * b_p;
  c.weighted = a.weighted * a_p + b.weighted * b_p;
  c.at_p = select(b.at_p, a.at_p, precedes(a.largest_p, a.at_p, b.largest_p, b.at_p));
  c.largest_q = max(a.largest_q, b.largest_q);
  c.sum_q = a.sum_q * exp(a.largest_q - c.largest_q) + b.sum_q * exp(b.largest_q - c.largest_q);
  c.at_q = select(b.at_q, a.at_q, precedes(a.largest_q, a.at_q, b.largest_q, b.at_q));
  return c;
}

fn precedes(a: f32, at_a: u32, b: f32, at_b: u32) -> bool {
  return a > b || (a == b && at_a < at_b);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let first = row * params.columns;
  var fold = Fold(LOWEST, 0f, 0f, 0xffffffffu, LOWEST, 0f, 0xffffffffu);
  for (var c = thread; c < params.columns; c += THREADS) {
    let p = baseline[first + c];
    let q = logits[first + c];
    // One exponential serves both ways: it shrinks the sum under a new largest, or is the term.
    let rises_p = p > fold.largest_p;
    let e_p = exp(-abs(p - fold.largest_p));
    let keep_p = select(1f, e_p, rises_p);
    let term_p = select(e_p, 1f, rises_p);
    fold.sum_p = fold.sum_p * keep_p + term_p;
    fold.weighted = fold.weighted * keep_p + term_p * (p - q);
    fold.at_p = select(fold.at_p, params.column + c, rises_p);
    fold.largest_p = max(fold.largest_p, p);
    let rises_q = q > fold.largest_q;
    let e_q = exp(-abs(q - fold.largest_q));
    fold.sum_q = fold.sum_q * select(1f, e_q, rises_q) + select(e_q, 1f, rises_q);
    fold.at_q = select(fold.at_q, params.column + c, rises_q);
    fold.largest_q = max(fold.largest_q, q);
  }
  folds[thread] = fold;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { folds[thread] = join(folds[thread], folds[thread + half]); }
    workgroupBarrier();
  }
  if (thread != 0u) { return; }
  fold = folds[0];
  let at = 7u * row;
  if (!FIRST) {
    let before = Fold(
      state[at], state[at + 1u], state[at + 2u], top[2u * row],
      state[at + 3u], state[at + 4u], top[2u * row + 1u],
    );
    fold = join(before, fold);
  }
  state[at] = fold.largest_p;
  state[at + 1u] = fold.sum_p;
  state[at + 2u] = fold.weighted;
  state[at + 3u] = fold.largest_q;
  state[at + 4u] = fold.sum_q;
  top[2u * row] = fold.at_p;
  top[2u * row + 1u] = fold.at_q;
  // A target before `column` wraps to a large offset.
  let offset = targets[row] - params.column;
  if (offset < params.columns) {
    state[at + 5u] = baseline[first + offset];
    state[at + 6u] = logits[first + offset];
  } else if (FIRST) {
    state[at + 5u] = 0f;
    state[at + 6u] = 0f;
  }
}
