// sum[i, j] += factor * (sum over r of x[r, first + i] * x[r, j]) where j >= first + i.
// A workgroup of 256 threads stages 16 rows of x, 64 columns for each side
// of the tile, in workgroup memory; each thread makes a square of 4 rows and columns.
// Expects: EXPERTS (bool, only the rows of one expert are taken).

struct Params {
  rows: u32,
  columns: u32,
  first: u32,
  held: u32,
  factor: f32,
  expert: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read> bounds: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const SIDE = 16u;
const TILE = 64u;

var<workgroup> down_tile: array<vec4f, SIDE * SIDE>;
var<workgroup> across_tile: array<vec4f, SIDE * SIDE>;

fn quad_of(row: u32, end: u32, quad: u32) -> vec4f {
  let quads = params.columns / 4u;
  if (row >= end || quad >= quads) { return vec4f(); }
  return x[row * quads + quad];
}

fn write(row: u32, quad: u32, value: vec4f) {
  let columns = 4u * quad + vec4u(0u, 1u, 2u, 3u);
  let diagonal = params.first + row;
  if (row >= params.held || columns.x >= params.columns || columns.w < diagonal) { return; }
  let kept = select(vec4f(), value, columns >= vec4u(diagonal));
  sum[row * (params.columns / 4u) + quad] += params.factor * kept;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let diagonal = params.first + group.y * TILE;
  if ((group.x + 1u) * TILE <= diagonal) { return; }
  let across = thread % SIDE;
  let down = thread / SIDE;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var begin = 0u;
  var end = params.rows;
  if (EXPERTS) {
    begin = bounds[params.expert];
    end = bounds[params.expert + 1u];
  }
  for (var r = begin; r < end; r += SIDE) {
    down_tile[thread] = quad_of(r + down, end, diagonal / 4u + across);
    across_tile[thread] = quad_of(r + down, end, group.x * SIDE + across);
    workgroupBarrier();
    for (var c = 0u; c < SIDE; c++) {
      let a = down_tile[c * SIDE + down];
      let b = across_tile[c * SIDE + across];
      s0 = fma(vec4f(a.x), b, s0);
      s1 = fma(vec4f(a.y), b, s1);
      s2 = fma(vec4f(a.z), b, s2);
      s3 = fma(vec4f(a.w), b, s3);
    }
    workgroupBarrier();
  }
  let row = group.y * TILE + 4u * down;
  let quad = group.x * SIDE + across;
  write(row, quad, s0);
  write(row + 1u, quad, s1);
  write(row + 2u, quad, s2);
  write(row + 3u, quad, s3);
}
