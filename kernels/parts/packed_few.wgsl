// write(m, n, sum over k of x[m, k] * w[row + n, k]) for packed weights.
// For graphics processors and few rows, where reading the weights is what takes time: a workgroup of
// 256 threads makes 8 columns of all rows; 32 threads read the words of a column side by side.
// Expects: parts/matmul_codes.wgsl or parts/matmul_int8.wgsl, ROWS (u32, at least as many as x has).

const SHARE = 32u;
const COLUMNS = 8u;
const THREADS = SHARE * COLUMNS;

var<workgroup> partial: array<Sum, ROWS * THREADS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.x * COLUMNS + thread / SHARE;
  let part = thread % SHARE;
  var sum: array<Sum, ROWS>;
  if (n < params.columns) {
    let row = params.row + n;
    for (var at = part; at < params.inner / 8u; at += SHARE) {
      let held = weights_of(row, at, group_of(row, 8u * at));
      for (var m = 0u; m < ROWS; m++) {
        sum[m] += products(min(m, params.rows - 1u), at, held);
      }
    }
  }
  for (var m = 0u; m < ROWS; m++) { partial[m * THREADS + thread] = sum[m]; }
  workgroupBarrier();
  for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
    if (part < half_way) {
      for (var m = 0u; m < ROWS; m++) {
        partial[m * THREADS + thread] += partial[m * THREADS + thread + half_way];
      }
    }
    workgroupBarrier();
  }
  if (part < ROWS) { write(part, n, partial[part * THREADS + thread - part]); }
}
