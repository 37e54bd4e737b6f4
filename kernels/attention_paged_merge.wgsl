// Merges the slices that attention_paged_slices.wgsl made of a query and head, one after another.
// Expects: parts/attention_slice.wgsl and what it expects, HELD_SLICES (u32, slices of the longest sequence).

@group(0) @binding(8) var<storage, read_write> scratch: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let query = query_of(group);
  if (!query.there) { return; }
  var total = array<vec4f, MINE>();
  var seen = nothing();
  for (var slice = query.start / SLICE; slice <= query.place / SLICE; slice++) {
    let from_slice = ((group.x * params.heads + group.y) * HELD_SLICES + slice) * (QUADS + 1u);
    let state = scratch[from_slice + QUADS];
    let merge = merged(&seen, state.x, state.y);
    for (var c = 0u; c < MINE; c++) {
      let quad = min(thread + THREADS * c, QUADS - 1u);
      total[c] = fma(total[c], vec4f(merge.fade), scratch[from_slice + quad] * merge.part);
    }
  }
  for (var c = 0u; c < MINE; c++) {
    let quad = thread + THREADS * c;
    if (quad < QUADS) { y[query.row + quad] = total[c] / seen.weight; }
  }
}
