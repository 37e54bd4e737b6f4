// V[c, j] = (H[c, j] - sum over t < c of V[t, c] * V[t, j]) / V[c, c] in place, rows c of a panel,
// where V[c, c] is the root of what its own column leaves: one column j a thread.
// The columns of the diagonal block are one workgroup, which meets after each row; the columns
// behind it need only that block.
// Expects: DIAGONAL (bool, the block and not what lies behind it), THREADS (u32, at least a row of
// the block if DIAGONAL).

struct Params {
  rows: u32,
  columns: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> panel: array<f32>;
@group(0) @binding(1) var<storage, read_write> failed: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> pivot: f32;

fn remainder(row: u32, column: u32) -> f32 {
  var value = panel[row * params.columns + column];
  let diagonal = params.first + row;
  for (var t = 0u; t < row; t++) {
    value -= panel[t * params.columns + diagonal] * panel[t * params.columns + column];
  }
  return value;
}

fn factor_diagonal(thread: u32) {
  for (var row = 0u; row < params.rows; row++) {
    let at = row * params.columns + params.first + thread;
    let inside = thread >= row && thread < params.rows;
    var value = 0f;
    if (inside) { value = remainder(row, params.first + thread); }
    if (thread == row) {
      // 1 lets the launches that are under way end; the flag says that they are of no use.
      if (value > 0f) { pivot = sqrt(value); } else { failed[0] = 1u; pivot = 1f; }
    }
    workgroupBarrier();
    if (inside) { panel[at] = select(value / pivot, pivot, thread == row); }
    storageBarrier();
    workgroupBarrier();
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (DIAGONAL) {
    factor_diagonal(thread);
    return;
  }
  let column = params.first + params.rows + id.x;
  if (column >= params.columns) { return; }
  for (var row = 0u; row < params.rows; row++) {
    let value = remainder(row, column);
    panel[row * params.columns + column] = value / panel[row * params.columns + params.first + row];
  }
}
