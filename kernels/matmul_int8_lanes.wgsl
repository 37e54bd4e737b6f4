// y[m, column + n] = w_scale[n] * x_scale[m] * sum over k of x[m, k] * w8[n, k], less the zero's part.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes ROWS rows by 64 columns. Sums are f32, exact over CHUNK products of two bytes, then
// added as integers.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/packed_lanes.wgsl and what it expects.

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
      var s0 = array(vec4f(), vec4f());
      var s1 = array(vec4f(), vec4f());
      var s2 = array(vec4f(), vec4f());
      var s3 = array(vec4f(), vec4f());
      var s4 = array(vec4f(), vec4f());
      var s5 = array(vec4f(), vec4f());
      var s6 = array(vec4f(), vec4f());
      var s7 = array(vec4f(), vec4f());
      for (var k = chunk; k < end; k += STEP) {
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
      t0 = add_whole(t0, s0);
      if (ROWS >= 2u) { t1 = add_whole(t1, s1); }
      if (ROWS >= 4u) {
        t2 = add_whole(t2, s2);
        t3 = add_whole(t3, s3);
      }
      if (ROWS >= 8u) {
        t4 = add_whole(t4, s4);
        t5 = add_whole(t5, s5);
        t6 = add_whole(t6, s6);
        t7 = add_whole(t7, s7);
      }
    }
  }
  write_row(row, column, t0);
  if (ROWS >= 2u) { write_row(row + 1u, column, t1); }
  if (ROWS >= 4u) {
    write_row(row + 2u, column, t2);
    write_row(row + 3u, column, t3);
  }
  if (ROWS >= 8u) {
    write_row(row + 4u, column, t4);
    write_row(row + 5u, column, t5);
    write_row(row + 6u, column, t6);
    write_row(row + 7u, column, t7);
  }
}
