// What products share that run on one subgroup of 8 lanes, which makes ROWS rows by 64 columns: the
// sums of a lane's 8 columns, row by row, and their writing.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.
// Expects: parts/lanes.wgsl, Sum (f32 or i32), ROWS (u32: 1, 2, 4 or 8), values (a lane's 2 of the 16
// values of a row of x from an inner index, none from an end on), write (one sum into y).

const STEP = 16u;

struct Parts {
  p0: vec2f,
  p1: vec2f,
  p2: vec2f,
  p3: vec2f,
  p4: vec2f,
  p5: vec2f,
  p6: vec2f,
  p7: vec2f,
}

struct Sums {
  s0: array<vec4f, 2>,
  s1: array<vec4f, 2>,
  s2: array<vec4f, 2>,
  s3: array<vec4f, 2>,
  s4: array<vec4f, 2>,
  s5: array<vec4f, 2>,
  s6: array<vec4f, 2>,
  s7: array<vec4f, 2>,
}

// A lane's part of STEP values of each row of x, from inner index k.
fn parts_of(row: u32, k: u32, end: u32, lane: u32) -> Parts {
  var parts = Parts();
  parts.p0 = values(row, k, end, lane);
  if (ROWS >= 2u) { parts.p1 = values(row + 1u, k, end, lane); }
  if (ROWS >= 4u) {
    parts.p2 = values(row + 2u, k, end, lane);
    parts.p3 = values(row + 3u, k, end, lane);
  }
  if (ROWS >= 8u) {
    parts.p4 = values(row + 4u, k, end, lane);
    parts.p5 = values(row + 5u, k, end, lane);
    parts.p6 = values(row + 6u, k, end, lane);
    parts.p7 = values(row + 7u, k, end, lane);
  }
  return parts;
}

// Adds what the first 8 of STEP inner indices give.
fn add_first(sums: ptr<function, Sums>, parts: Parts, w: Weights) {
  (*sums).s0 = add((*sums).s0, first_half(parts.p0, w));
  if (ROWS >= 2u) { (*sums).s1 = add((*sums).s1, first_half(parts.p1, w)); }
  if (ROWS >= 4u) {
    (*sums).s2 = add((*sums).s2, first_half(parts.p2, w));
    (*sums).s3 = add((*sums).s3, first_half(parts.p3, w));
  }
  if (ROWS >= 8u) {
    (*sums).s4 = add((*sums).s4, first_half(parts.p4, w));
    (*sums).s5 = add((*sums).s5, first_half(parts.p5, w));
    (*sums).s6 = add((*sums).s6, first_half(parts.p6, w));
    (*sums).s7 = add((*sums).s7, first_half(parts.p7, w));
  }
}

fn add_second(sums: ptr<function, Sums>, parts: Parts, w: Weights) {
  (*sums).s0 = add((*sums).s0, second_half(parts.p0, w));
  if (ROWS >= 2u) { (*sums).s1 = add((*sums).s1, second_half(parts.p1, w)); }
  if (ROWS >= 4u) {
    (*sums).s2 = add((*sums).s2, second_half(parts.p2, w));
    (*sums).s3 = add((*sums).s3, second_half(parts.p3, w));
  }
  if (ROWS >= 8u) {
    (*sums).s4 = add((*sums).s4, second_half(parts.p4, w));
    (*sums).s5 = add((*sums).s5, second_half(parts.p5, w));
    (*sums).s6 = add((*sums).s6, second_half(parts.p6, w));
    (*sums).s7 = add((*sums).s7, second_half(parts.p7, w));
  }
}

// The sums that are written, in the type they are kept in.
struct Totals {
  t0: array<vec4<Sum>, 2>,
  t1: array<vec4<Sum>, 2>,
  t2: array<vec4<Sum>, 2>,
  t3: array<vec4<Sum>, 2>,
  t4: array<vec4<Sum>, 2>,
  t5: array<vec4<Sum>, 2>,
  t6: array<vec4<Sum>, 2>,
  t7: array<vec4<Sum>, 2>,
}

fn write_row(row: u32, n: u32, sum: array<vec4<Sum>, 2>) {
  write(row, n, sum[0].x);
  write(row, n + LANES, sum[0].y);
  write(row, n + 2u * LANES, sum[0].z);
  write(row, n + 3u * LANES, sum[0].w);
  write(row, n + 4u * LANES, sum[1].x);
  write(row, n + 5u * LANES, sum[1].y);
  write(row, n + 6u * LANES, sum[1].z);
  write(row, n + 7u * LANES, sum[1].w);
}

fn write_rows(row: u32, column: u32, totals: Totals) {
  write_row(row, column, totals.t0);
  if (ROWS >= 2u) { write_row(row + 1u, column, totals.t1); }
  if (ROWS >= 4u) {
    write_row(row + 2u, column, totals.t2);
    write_row(row + 3u, column, totals.t3);
  }
  if (ROWS >= 8u) {
    write_row(row + 4u, column, totals.t4);
    write_row(row + 5u, column, totals.t5);
    write_row(row + 6u, column, totals.t6);
    write_row(row + 7u, column, totals.t7);
  }
}
