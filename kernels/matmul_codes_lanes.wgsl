// y[m, column + n] = sum over k of x[m, k] * w[row + n, k], plus bias[column + n], with w from codes.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/packed_lanes.wgsl and what it expects.

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
  var s0 = array(vec4f(), vec4f());
  var s1 = array(vec4f(), vec4f());
  var s2 = array(vec4f(), vec4f());
  var s3 = array(vec4f(), vec4f());
  var s4 = array(vec4f(), vec4f());
  var s5 = array(vec4f(), vec4f());
  var s6 = array(vec4f(), vec4f());
  var s7 = array(vec4f(), vec4f());
  for (var start = 0u; start < params.inner; start += params.group) {
    let scales = groups_of(column, start);
    let end = start + params.group;
    for (var k = start; k < end; k += STEP) {
      let p0 = values(row, k, end, lane);
      var p1 = vec2f();
      var p2 = vec2f();
      var p3 = vec2f();
      var p4 = vec2f();
      var p5 = vec2f();
      var p6 = vec2f();
      var p7 = vec2f();
      if (ROWS >= 2u) { p1 = values(row + 1u, k, end, lane); }
      if (ROWS >= 4u) {
        p2 = values(row + 2u, k, end, lane);
        p3 = values(row + 3u, k, end, lane);
      }
      if (ROWS >= 8u) {
        p4 = values(row + 4u, k, end, lane);
        p5 = values(row + 5u, k, end, lane);
        p6 = values(row + 6u, k, end, lane);
        p7 = values(row + 7u, k, end, lane);
      }
      let a = weights(column, k / 8u, scales);
      s0 = add(s0, first_half(p0, a));
      if (ROWS >= 2u) { s1 = add(s1, first_half(p1, a)); }
      if (ROWS >= 4u) {
        s2 = add(s2, first_half(p2, a));
        s3 = add(s3, first_half(p3, a));
      }
      if (ROWS >= 8u) {
        s4 = add(s4, first_half(p4, a));
        s5 = add(s5, first_half(p5, a));
        s6 = add(s6, first_half(p6, a));
        s7 = add(s7, first_half(p7, a));
      }
      let b = weights(column, min(k / 8u + 1u, end / 8u - 1u), scales);
      s0 = add(s0, second_half(p0, b));
      if (ROWS >= 2u) { s1 = add(s1, second_half(p1, b)); }
      if (ROWS >= 4u) {
        s2 = add(s2, second_half(p2, b));
        s3 = add(s3, second_half(p3, b));
      }
      if (ROWS >= 8u) {
        s4 = add(s4, second_half(p4, b));
        s5 = add(s5, second_half(p5, b));
        s6 = add(s6, second_half(p6, b));
        s7 = add(s7, second_half(p7, b));
      }
    }
  }
  write_row(row, column, s0);
  if (ROWS >= 2u) { write_row(row + 1u, column, s1); }
  if (ROWS >= 4u) {
    write_row(row + 2u, column, s2);
    write_row(row + 3u, column, s3);
  }
  if (ROWS >= 8u) {
    write_row(row + 4u, column, s4);
    write_row(row + 5u, column, s5);
    write_row(row + 6u, column, s6);
    write_row(row + 7u, column, s7);
  }
}
