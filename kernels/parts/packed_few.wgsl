// write(m, n, sum over k of x[m, k] * w[row + n, k]) for packed weights.
// For few rows, where reading the weights is what takes time: a workgroup of
// 256 threads makes 16 columns of all rows. The 16 threads of a column take a part of PART inner
// values each, side by side, then the next ones; parts are added in order, as where there are many rows.
// Expects: parts/matmul_codes.wgsl or parts/matmul_int8.wgsl, parts/expert_rows.wgsl, PART (u32, a multiple of 8), ROWS (u32,
// at least as many as x has, or an expert: 1, 2, 4 or 8).

const SHARE = 16u;
const COLUMNS = 16u;
const THREADS = SHARE * COLUMNS;
const EIGHTS = PART / 8u;
// Parts a thread makes between barriers: as many as 8 KiB of sums hold.
const TURNS = 8u / ROWS;
// One more than the threads keeps those that add up rows out of each other's banks.
const STRIDE = THREADS + 1u;

var<workgroup> partial: array<Sum, TURNS * ROWS * STRIDE>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(group.z);
  if (span.rows == 0u) { return; }
  let n = group.x * COLUMNS + thread / SHARE;
  let part = thread % SHARE;
  let row = span.weight + min(n, params.columns - 1u);
  let eights = params.inner / 8u;
  var total: Sum;
  for (var start = 0u; start < eights; start += TURNS * SHARE * EIGHTS) {
    for (var turn = 0u; turn < TURNS; turn++) {
      let first = start + turn * SHARE * EIGHTS;
      if (first >= eights) { break; }
      var sum = array<Sum, ROWS>();
      // No branch around what lies behind the end: all words of a part are asked for at once.
      for (var i = 0u; i < EIGHTS; i++) {
        let wanted = first + part * EIGHTS + i;
        let at = min(wanted, eights - 1u);
        let held = weights_of(row, at, group_of(row, 8u * at));
        for (var m = 0u; m < ROWS; m++) {
          let next = add_products(sum[m], span.first + min(m, span.rows - 1u), at, held);
          sum[m] = select(sum[m], next, wanted < eights);
        }
      }
      for (var m = 0u; m < ROWS; m++) {
        partial[(turn * ROWS + m) * STRIDE + thread] = sum[m];
      }
    }
    workgroupBarrier();
    if (part < ROWS) {
      for (var turn = 0u; turn < TURNS; turn++) {
        if (start + turn * SHARE * EIGHTS >= eights) { break; }
        let at = (turn * ROWS + part) * STRIDE + thread - part;
        for (var i = 0u; i < SHARE; i++) { total += partial[at + i]; }
      }
    }
    workgroupBarrier();
  }
  if (part < min(ROWS, span.rows) && n < params.columns) {
    write(span.first + part, n, row, total);
  }
}
