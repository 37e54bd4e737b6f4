// y[m, column + n] = sum over k of x[m, k] * w[row + n, k], plus bias[column + n], with w from codes.
// A workgroup of 256 threads stages 16 inner values of TILE rows and TILE
// columns in workgroup memory; each thread makes a square of TILE / 16 rows and columns. Sums are those
// of parts of PART inner values, added in order, as where there are few rows.
// Expects: parts/matmul_codes.wgsl, parts/expert_rows.wgsl, PART and TILE (u32, multiples of 16).

const SIDE = 16u;
const STEP = 16u;
const EACH = TILE / SIDE;
const THREADS = SIDE * SIDE;
// One more column than needed keeps threads of a column out of each other's banks.
const STRIDE = TILE + 1u;

var<workgroup> x_tile: array<f32, STEP * STRIDE>;
var<workgroup> w_tile: array<f32, STEP * STRIDE>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(group.z);
  let first_row = group.y * TILE;
  if (first_row >= span.rows) { return; }
  let first_column = group.x * TILE;
  let across = thread % SIDE;
  let down = thread / SIDE;
  var total: array<array<f32, EACH>, EACH>;
  var sum: array<array<f32, EACH>, EACH>;
  for (var k = 0u; k < params.inner; k += STEP) {
    for (var load = thread; load < TILE * STEP / 4u; load += THREADS) {
      let line = load / (STEP / 4u);
      let quad = load % (STEP / 4u);
      let row = span.first + first_row + line;
      var held = vec4f();
      if (k + 4u * quad < params.inner && first_row + line < span.rows) {
        held = x[(row * params.inner + k) / 4u + quad];
      }
      for (var c = 0u; c < 4u; c++) { x_tile[(4u * quad + c) * STRIDE + line] = held[c]; }
    }
    for (var load = thread; load < TILE * STEP / 8u; load += THREADS) {
      let line = load / (STEP / 8u);
      let eight = load % (STEP / 8u);
      let at = k / 8u + eight;
      var held = array<vec4f, 2>();
      if (8u * at < params.inner && first_column + line < params.columns) {
        let row = span.weight + first_column + line;
        held = weights_of(row, at, group_of(row, 8u * at));
      }
      for (var c = 0u; c < 4u; c++) {
        w_tile[(8u * eight + c) * STRIDE + line] = held[0][c];
        w_tile[(8u * eight + c + 4u) * STRIDE + line] = held[1][c];
      }
    }
    workgroupBarrier();
    for (var c = 0u; c < STEP; c++) {
      var xs: array<f32, EACH>;
      var ws: array<f32, EACH>;
      for (var i = 0u; i < EACH; i++) {
        xs[i] = x_tile[c * STRIDE + down + SIDE * i];
        ws[i] = w_tile[c * STRIDE + across + SIDE * i];
      }
      for (var i = 0u; i < EACH; i++) {
        for (var j = 0u; j < EACH; j++) {
          sum[i][j] = fma(xs[i], ws[j], sum[i][j]);
        }
      }
    }
    if ((k + STEP) % PART == 0u || k + STEP >= params.inner) {
      for (var i = 0u; i < EACH; i++) {
        for (var j = 0u; j < EACH; j++) {
          total[i][j] += sum[i][j];
          sum[i][j] = 0f;
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < EACH; i++) {
    for (var j = 0u; j < EACH; j++) {
      let row = first_row + down + SIDE * i;
      let n = first_column + across + SIDE * j;
      if (row < span.rows && n < params.columns) {
        write(span.first + row, n, span.weight + n, total[i][j]);
      }
    }
  }
}
