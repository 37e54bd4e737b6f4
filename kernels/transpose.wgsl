// y[c, r] = x[r, c], 0 behind the last row, a tile a workgroup.
// Expects: TILE (u32).

struct Params {
  rows: u32,
  columns: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// One more than a row of the tile keeps its columns in different banks.
var<workgroup> tile: array<f32, TILE * (TILE + 1u)>;

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let source = vec2u(group.y * TILE + thread.x, group.x * TILE + thread.y);
  var value = 0f;
  if (source.x < params.columns && source.y < params.rows) {
    value = x[source.y * params.columns + source.x];
  }
  tile[thread.y * (TILE + 1u) + thread.x] = value;
  workgroupBarrier();
  let to = vec2u(group.x * TILE + thread.x, group.y * TILE + thread.y);
  if (to.x < params.width && to.y < params.columns) {
    y[to.y * params.width + to.x] = tile[thread.x * (TILE + 1u) + thread.y];
  }
}
