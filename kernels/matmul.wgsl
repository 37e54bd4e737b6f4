// y[m, column + n] = sum over k, from begin to end, of x[m, k] * weight[row + n, k], plus
// bias[column + n].
// A workgroup of 256 threads stages 16 inner values of TILE rows and TILE
// columns in workgroup memory; each thread makes a square of TILE / 16 rows and columns.
// Expects: parts/expert_rows.wgsl, HALF (bool, weights are f16), BIAS (bool), TILE (u32, a multiple of
// 16).

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  column: u32,
  row: u32,
  stride: u32,
  begin: u32,
  end: u32,
  expert: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> bounds: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const SIDE = 16u;
const STEP = 16u;
const EACH = TILE / SIDE;
const THREADS = SIDE * SIDE;
// One more column than needed keeps threads of a column out of each other's banks.
const STRIDE = TILE + 1u;

var<workgroup> x_tile: array<f32, STEP * STRIDE>;
var<workgroup> w_tile: array<f32, STEP * STRIDE>;

fn weights(row: u32, quad: u32) -> vec4f {
  if (HALF) {
    let packed = weight[row * (params.inner / 8u) + quad / 2u];
    let pair = select(packed.xy, packed.zw, quad % 2u == 1u);
    return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  return bitcast<vec4f>(weight[row * (params.inner / 4u) + quad]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(group.z);
  let first_row = group.y * TILE;
  if (first_row >= span.rows) { return; }
  let first_column = group.x * TILE;
  let across = thread % SIDE;
  let down = thread / SIDE;
  var sum: array<array<f32, EACH>, EACH>;
  for (var k = params.begin; k < params.end; k += STEP) {
    for (var load = thread; load < TILE * STEP / 4u; load += THREADS) {
      let line = load / (STEP / 4u);
      let quad = load % (STEP / 4u);
      let inside = k + 4u * quad < params.end;
      var from_x = vec4f();
      var from_w = vec4f();
      if (inside && first_row + line < span.rows) {
        from_x = x[(span.first + first_row + line) * (params.inner / 4u) + k / 4u + quad];
      }
      if (inside && first_column + line < params.columns) {
        from_w = weights(span.weight + first_column + line, k / 4u + quad);
      }
      for (var c = 0u; c < 4u; c++) {
        x_tile[(4u * quad + c) * STRIDE + line] = from_x[c];
        w_tile[(4u * quad + c) * STRIDE + line] = from_w[c];
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
    workgroupBarrier();
  }
  for (var i = 0u; i < EACH; i++) {
    for (var j = 0u; j < EACH; j++) {
      let row = first_row + down + SIDE * i;
      let n = first_column + across + SIDE * j;
      if (row < span.rows && n < params.columns) {
        var value = sum[i][j];
        if (BIAS) { value += bias[params.column + n]; }
        y[(span.first + row) * params.stride + params.column + n] = value;
      }
    }
  }
}
