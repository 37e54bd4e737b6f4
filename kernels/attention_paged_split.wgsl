// Attention of few queries, a workgroup for all keys of one, slice after slice.
// Expects: parts/attention_slice.wgsl and what it expects.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let query = query_of(group);
  if (!query.there) { return; }
  let head = group.y / (params.heads / params.kv_heads);
  hold_query(query, thread);
  var total = array<vec4f, MINE>();
  var seen = nothing();
  for (var slice = query.start / SLICE; slice <= query.place / SLICE; slice++) {
    var sum = array<vec4f, MINE>();
    let state = sum_slice(query, slice, head, thread, &sum);
    let merge = merged(&seen, state.most, state.weight);
    for (var c = 0u; c < MINE; c++) {
      total[c] = fma(total[c], vec4f(merge.fade), sum[c] * merge.part);
    }
  }
  for (var c = 0u; c < MINE; c++) {
    let quad = thread + THREADS * c;
    if (quad < QUADS) { y[query.row + quad] = total[c] / seen.weight; }
  }
}
