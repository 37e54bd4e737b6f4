// The same for few rows, where reading the weights is what takes time: a workgroup of 256 threads makes 16
// columns of all rows. The 16 threads of a column take a group each, side by side, then the next ones;
// groups are added in order, as where there are many rows.
// Expects: parts/matmul_groups.wgsl, parts/expert_rows.wgsl, ROWS (u32, at least as many as x has, or an
// expert: 1, 2, 4 or 8).

const SHARE = 16u;
const COLUMNS = 16u;
const THREADS = SHARE * COLUMNS;
// One more than the threads keeps those that add up rows out of each other's banks.
const STRIDE = THREADS + 1u;

var<workgroup> partial: array<f32, ROWS * STRIDE>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(id.z);
  if (span.rows == 0u) { return; }
  let n = id.x * COLUMNS + thread / SHARE;
  let part = thread % SHARE;
  let row = span.weight + min(n, params.columns - 1u);
  let count = params.inner / params.group;
  let eights = params.group / 8u;
  var total = 0f;
  for (var start = 0u; start < count; start += SHARE) {
    let group = min(start + part, count - 1u);
    var sum = array<i32, ROWS>();
    for (var i = 0u; i < eights; i++) {
      let at = group * eights + i;
      let held = weights_of(row, at);
      for (var m = 0u; m < ROWS; m++) {
        let held_x = (span.first + min(m, span.rows - 1u)) * (params.inner / 4u) + 2u * at;
        sum[m] += dot4I8Packed(x[held_x], held.x) + dot4I8Packed(x[held_x + 1u], held.y);
      }
    }
    for (var m = 0u; m < ROWS; m++) {
      let input = span.first + min(m, span.rows - 1u);
      partial[m * STRIDE + thread] = scaled(sum[m], row, input, group);
    }
    workgroupBarrier();
    if (part < ROWS) {
      let m = span.first + min(part, span.rows - 1u);
      for (var i = 0u; i < min(SHARE, count - start); i++) {
        total = add_group(total, partial[part * STRIDE + thread - part + i], m, start + i);
      }
    }
    workgroupBarrier();
  }
  if (part < min(ROWS, span.rows) && n < params.columns) { write(span.first + part, n, total); }
}
