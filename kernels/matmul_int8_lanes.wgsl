// y[m, column + n] = w_scale[n] * x_scale[m] * sum over k of x[m, k] * w8[n, k], less the zero's part.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns. Sums are f32, exact over CHUNK products of two bytes, then
// added as integers.
// Expects: parts/packed_lanes.wgsl and parts/product_lanes.wgsl, and what they expect.

const CHUNK = 1024u;

// A lane's 2 of the 16 values of a row of x from inner index k; none from index end on.
fn values(row: u32, k: u32, end: u32, lane: u32) -> vec2f {
  let word = x[(min(row, params.rows - 1u) * params.inner + k) / 4u + lane / 2u];
  let held = bitcast<i32>(word << (16u * (1u - lane % 2u)));
  return select(vec2f(), vec2f(vec2i((held << 8u) >> 24u, held >> 24u)), k + 2u * lane < end);
}

fn add_whole(a: array<vec4i, 2>, b: array<vec4f, 2>) -> array<vec4i, 2> {
  return array(a[0] + vec4i(b[0]), a[1] + vec4i(b[1]));
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS;
  let column = group.x * 8u * LANES + lane;
  // As one Totals that changes in the loop they made 4 bits without groups 15 % slower.
  var t0 = array(vec4i(), vec4i());
  var t1 = array(vec4i(), vec4i());
  var t2 = array(vec4i(), vec4i());
  var t3 = array(vec4i(), vec4i());
  var t4 = array(vec4i(), vec4i());
  var t5 = array(vec4i(), vec4i());
  var t6 = array(vec4i(), vec4i());
  var t7 = array(vec4i(), vec4i());
  for (var start = 0u; start < params.inner; start += params.group) {
    let scales = groups_of(column, start);
    for (var chunk = start; chunk < start + params.group; chunk += CHUNK) {
      let end = min(chunk + CHUNK, start + params.group);
      var sums = Sums();
      for (var k = chunk; k < end; k += STEP) {
        let parts = parts_of(row, k, end, lane);
        add_first(&sums, parts, weights(column, k / 8u, scales));
        add_second(&sums, parts, weights(column, min(k / 8u + 1u, end / 8u - 1u), scales));
      }
      t0 = add_whole(t0, sums.s0);
      if (ROWS >= 2u) { t1 = add_whole(t1, sums.s1); }
      if (ROWS >= 4u) {
        t2 = add_whole(t2, sums.s2);
        t3 = add_whole(t3, sums.s3);
      }
      if (ROWS >= 8u) {
        t4 = add_whole(t4, sums.s4);
        t5 = add_whole(t5, sums.s5);
        t6 = add_whole(t6, sums.s6);
        t7 = add_whole(t7, sums.s7);
      }
    }
  }
  write_rows(row, column, Totals(t0, t1, t2, t3, t4, t5, t6, t7));
}
