// y[m, column + n] = sum over k of x[m, k] * w[row + n, k], plus bias[column + n], with w from codes.
// For graphics processors and few rows, where reading the weights is what takes time: a workgroup of
// 256 threads makes 8 columns of all rows; 32 threads read the words of a column side by side.
// Expects: parts/matmul_codes.wgsl, ROWS (u32, at least as many as x has).

const SHARE = 32u;
const COLUMNS = 8u;
const THREADS = SHARE * COLUMNS;

var<workgroup> partial: array<f32, ROWS * THREADS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let n = group.x * COLUMNS + thread / SHARE;
  let part = thread % SHARE;
  var sum: array<f32, ROWS>;
  if (n < params.columns) {
    let row = params.row + n;
    for (var at = part; at < params.inner / 8u; at += SHARE) {
      let held = weights_of(row, at, group_of(row, 8u * at));
      for (var m = 0u; m < ROWS; m++) {
        let from_x = min(m, params.rows - 1u) * (params.inner / 4u) + 2u * at;
        sum[m] += dot(x[from_x], held[0]) + dot(x[from_x + 1u], held[1]);
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
