// write(m, n, sum over k of x[m, k] * w[row + n, k]) for packed weights and few rows, as packed_few.wgsl does
// it: the SHARE threads of a column, here of one subgroup, take a part of PART inner values each, and hand
// it round without workgroup memory and barriers. Parts are added in the same order.
// Expects: parts/matmul_codes.wgsl or parts/matmul_int8.wgsl, parts/expert_rows.wgsl, PART (u32, a multiple
// of 8), ROWS (u32, at least as many as x has, or an expert: 1, 2, 4 or 8), SHARE (u32, a power of two, at
// most the size of a subgroup, in which threads stand in order).

const THREADS = 256u;
const COLUMNS = THREADS / SHARE;
const EIGHTS = PART / 8u;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let span = span_of(group.z);
  if (span.rows == 0u) { return; }
  let n = group.x * COLUMNS + thread / SHARE;
  let part = thread % SHARE;
  let row = span.weight + min(n, params.columns - 1u);
  let eights = params.inner / 8u;
  var total = array<Sum, ROWS>();
  for (var start = 0u; start < eights; start += SHARE * EIGHTS) {
    var sum = array<Sum, ROWS>();
    // No branch around what lies behind the end: all words of a part are asked for at once.
    for (var i = 0u; i < EIGHTS; i++) {
      let wanted = start + part * EIGHTS + i;
      let at = min(wanted, eights - 1u);
      let held = weights_of(row, at, group_of(row, 8u * at));
      for (var m = 0u; m < ROWS; m++) {
        let next = add_products(sum[m], span.first + min(m, span.rows - 1u), at, held);
        sum[m] = select(sum[m], next, wanted < eights);
      }
    }
    for (var m = 0u; m < ROWS; m++) {
      for (var i = 0u; i < SHARE; i++) {
        total[m] += subgroupShuffle(sum[m], lane - part + i);
      }
    }
  }
  if (n >= params.columns) { return; }
  for (var m = part; m < min(ROWS, span.rows); m += SHARE) { write(span.first + m, n, row, total[m]); }
}
