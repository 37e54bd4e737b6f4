// y[m, column + n] = sum over k of x[m, k] * w[row + n, k], plus bias[column + n], with w from codes.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns.
// Expects: parts/packed_lanes.wgsl and parts/product_lanes.wgsl, and what they expect.

// A lane's 2 of the 16 values of a row of x from inner index k; none from index end on.
fn values(row: u32, k: u32, end: u32, lane: u32) -> vec2f {
  let quad = x[(min(row, params.rows - 1u) * params.inner + k) / 4u + lane / 2u];
  let held = select(quad.xy, quad.zw, lane % 2u == 1u);
  return select(vec2f(), held, k + 2u * lane < end);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS;
  let column = group.x * 8u * LANES + lane;
  var sums = Sums();
  for (var start = 0u; start < params.inner; start += params.group) {
    let scales = groups_of(column, start);
    let end = start + params.group;
    for (var k = start; k < end; k += STEP) {
      let parts = parts_of(row, k, end, lane);
      add_first(&sums, parts, weights(column, k / 8u, scales));
      add_second(&sums, parts, weights(column, min(k / 8u + 1u, end / 8u - 1u), scales));
    }
  }
  write_rows(
    row,
    column,
    Totals(sums.s0, sums.s1, sums.s2, sums.s3, sums.s4, sums.s5, sums.s6, sums.s7),
  );
}
