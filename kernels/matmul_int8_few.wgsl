// write(m, n, sum over k of x[m, k] * w8[n, k]) for few rows, where reading the weights is what takes time: a
// workgroup of 256 threads makes THREADS / SHARE * EACH columns of all rows. The SHARE threads of a column take
// runs of 32 inner values side by side and add up what they find; whole numbers have one sum in any order.
// Expects: parts/matmul_int8_quads.wgsl and what it expects, parts/expert_rows.wgsl, add_up() as
// parts/integer_share.wgsl or parts/integer_share_subgroup.wgsl has it, ROWS (u32, at least as many as x has,
// or an expert: 1, 2, 4, 8 or 16), SHARE (u32, a power of two), EACH (u32, columns that share what a thread
// reads of x), SUMS (u32, ROWS * EACH).

const THREADS = 256u;
const COLUMNS = THREADS / SHARE * EACH;
// Runs whose words are all asked for before the first is used.
const AT_ONCE = 2u;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let span = span_of(group.z);
  if (span.rows == 0u) { return; }
  let first_column = group.x * COLUMNS + thread / SHARE * EACH;
  let part = thread % SHARE;
  let runs = params.inner / 32u;
  var rows: array<u32, EACH>;
  for (var j = 0u; j < EACH; j++) {
    rows[j] = span.weight + min(first_column + j, params.columns - 1u);
  }
  var total: array<i32, SUMS>;
  for (var start = part; start < runs; start += AT_ONCE * SHARE) {
    var held: array<array<Run, EACH>, AT_ONCE>;
    for (var u = 0u; u < AT_ONCE; u++) {
      for (var j = 0u; j < EACH; j++) { held[u][j] = run_of(rows[j], min(start + u * SHARE, runs - 1u)); }
    }
    for (var u = 0u; u < AT_ONCE; u++) {
      let at = start + u * SHARE;
      if (at >= runs) { break; }
      var groups_here: array<Group, EACH>;
      for (var j = 0u; j < EACH; j++) { groups_here[j] = group_of(rows[j], at); }
      for (var half_run = 0u; half_run < 2u; half_run++) {
        var weights: array<vec4u, EACH>;
        for (var j = 0u; j < EACH; j++) { weights[j] = half_of(held[u][j], half_run, groups_here[j]); }
        for (var m = 0u; m < ROWS; m++) {
          let row = span.first + min(m, span.rows - 1u);
          let values = x[row * (params.inner / 16u) + 2u * at + half_run];
          for (var j = 0u; j < EACH; j++) {
            total[m * EACH + j] = add_dots(total[m * EACH + j], values, weights[j]);
          }
        }
      }
    }
  }
  add_up(&total, thread);
  // With indices that are known here, so that sums stay in registers.
  for (var s = 0u; s < SUMS; s++) {
    let m = s / EACH;
    let n = first_column + s % EACH;
    if (part == s % TOGETHER && m < span.rows && n < params.columns) {
      write(span.first + m, n, rows[s % EACH], total[s]);
    }
  }
}
