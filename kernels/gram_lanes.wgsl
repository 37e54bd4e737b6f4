// sum[i, j] += factor * (sum over r of x[r, first + i] * x[r, j]) where j >= first + i.
// For the software adapter, which pays for loads and barriers: a workgroup is one subgroup of 8
// lanes and makes 16 rows by 64 columns from 4 rows of x at a time, of which a lane holds two quads
// and hands them to the others by broadcast.
// The rows of the tile stand one by one, for the driver turns arrays indexed in loops into memory.

struct Params {
  rows: u32,
  columns: u32,
  first: u32,
  held: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

const TILE_ROWS = 16u;
const TILE_COLUMNS = 64u;
const STEP = 4u;

// Four rows of x at one quad of columns, one row a matrix column.
fn four_rows(r: u32, quad: u32) -> mat4x4f {
  let quads = params.columns / 4u;
  let last = params.rows - 1u;
  return mat4x4f(
    x[r * quads + quad],
    x[min(r + 1u, last) * quads + quad],
    x[min(r + 2u, last) * quads + quad],
    x[min(r + 3u, last) * quads + quad],
  );
}

fn add(sum: array<vec4f, 2>, low: mat4x4f, high: mat4x4f, a: vec4f) -> array<vec4f, 2> {
  return array(sum[0] + low * a, sum[1] + high * a);
}

fn write(row: u32, quad: u32, value: vec4f) {
  let columns = 4u * quad + vec4u(0u, 1u, 2u, 3u);
  let diagonal = params.first + row;
  if (row >= params.held || columns.x >= params.columns || columns.w < diagonal) { return; }
  let kept = select(vec4f(), value, columns >= vec4u(diagonal));
  sum[row * (params.columns / 4u) + quad] += params.factor * kept;
}

fn write_row(row: u32, quad: u32, value: array<vec4f, 2>) {
  write(row, quad, value[0]);
  write(row, quad + 1u, value[1]);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * TILE_ROWS;
  let diagonal = params.first + row;
  if ((group.x + 1u) * TILE_COLUMNS <= diagonal) { return; }
  let quads = params.columns / 4u;
  let quad = group.x * (TILE_COLUMNS / 4u) + 2u * lane;
  let left = min(quad, quads - 1u);
  let right = min(quad + 1u, quads - 1u);
  let upper = min(diagonal / 4u + lane % 2u, quads - 1u);
  let lower = min(diagonal / 4u + 2u + lane % 2u, quads - 1u);
  var s0 = array(vec4f(), vec4f());
  var s1 = array(vec4f(), vec4f());
  var s2 = array(vec4f(), vec4f());
  var s3 = array(vec4f(), vec4f());
  var s4 = array(vec4f(), vec4f());
  var s5 = array(vec4f(), vec4f());
  var s6 = array(vec4f(), vec4f());
  var s7 = array(vec4f(), vec4f());
  var s8 = array(vec4f(), vec4f());
  var s9 = array(vec4f(), vec4f());
  var s10 = array(vec4f(), vec4f());
  var s11 = array(vec4f(), vec4f());
  var s12 = array(vec4f(), vec4f());
  var s13 = array(vec4f(), vec4f());
  var s14 = array(vec4f(), vec4f());
  var s15 = array(vec4f(), vec4f());
  for (var r = 0u; r < params.rows; r += STEP) {
    let line = r + lane / 2u;
    let at = min(line, params.rows - 1u) * quads;
    let p = select(vec4f(), x[at + upper], line < params.rows);
    let q = select(vec4f(), x[at + lower], line < params.rows);
    let low = four_rows(r, left);
    let high = four_rows(r, right);
    let a = transpose(mat4x4f(
      subgroupBroadcast(p, 0u),
      subgroupBroadcast(p, 2u),
      subgroupBroadcast(p, 4u),
      subgroupBroadcast(p, 6u),
    ));
    s0 = add(s0, low, high, a[0]);
    s1 = add(s1, low, high, a[1]);
    s2 = add(s2, low, high, a[2]);
    s3 = add(s3, low, high, a[3]);
    let b = transpose(mat4x4f(
      subgroupBroadcast(p, 1u),
      subgroupBroadcast(p, 3u),
      subgroupBroadcast(p, 5u),
      subgroupBroadcast(p, 7u),
    ));
    s4 = add(s4, low, high, b[0]);
    s5 = add(s5, low, high, b[1]);
    s6 = add(s6, low, high, b[2]);
    s7 = add(s7, low, high, b[3]);
    let c = transpose(mat4x4f(
      subgroupBroadcast(q, 0u),
      subgroupBroadcast(q, 2u),
      subgroupBroadcast(q, 4u),
      subgroupBroadcast(q, 6u),
    ));
    s8 = add(s8, low, high, c[0]);
    s9 = add(s9, low, high, c[1]);
    s10 = add(s10, low, high, c[2]);
    s11 = add(s11, low, high, c[3]);
    let d = transpose(mat4x4f(
      subgroupBroadcast(q, 1u),
      subgroupBroadcast(q, 3u),
      subgroupBroadcast(q, 5u),
      subgroupBroadcast(q, 7u),
    ));
    s12 = add(s12, low, high, d[0]);
    s13 = add(s13, low, high, d[1]);
    s14 = add(s14, low, high, d[2]);
    s15 = add(s15, low, high, d[3]);
  }
  write_row(row, quad, s0);
  write_row(row + 1u, quad, s1);
  write_row(row + 2u, quad, s2);
  write_row(row + 3u, quad, s3);
  write_row(row + 4u, quad, s4);
  write_row(row + 5u, quad, s5);
  write_row(row + 6u, quad, s6);
  write_row(row + 7u, quad, s7);
  write_row(row + 8u, quad, s8);
  write_row(row + 9u, quad, s9);
  write_row(row + 10u, quad, s10);
  write_row(row + 11u, quad, s11);
  write_row(row + 12u, quad, s12);
  write_row(row + 13u, quad, s13);
  write_row(row + 14u, quad, s14);
  write_row(row + 15u, quad, s15);
}
