// Attention of few queries, a workgroup for a slice of the keys of one: its sums stay in `scratch` for
// attention_paged_merge.wgsl. Where there are few sequences, one workgroup for all keys of each would
// leave most of a graphics processor idle (Dao et al. 2023, Flash-Decoding).
// Expects: parts/attention_slice.wgsl and what it expects, HELD_SLICES (u32, slices of the longest sequence).

@group(0) @binding(8) var<storage, read_write> scratch: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let query = query_of(group);
  let slice = group.z;
  if (!query.there || slice < query.start / SLICE || slice > query.place / SLICE) { return; }
  let head = group.y / (params.heads / params.kv_heads);
  hold_query(query, thread);
  var sum = array<vec4f, MINE>();
  let state = sum_slice(query, slice, head, thread, &sum);
  let to = ((group.x * params.heads + group.y) * HELD_SLICES + slice) * (QUADS + 1u);
  for (var c = 0u; c < MINE; c++) {
    let quad = thread + THREADS * c;
    if (quad < QUADS) { scratch[to + quad] = sum[c]; }
  }
  if (thread == 0u) { scratch[to + QUADS] = vec4f(state.most, state.weight, 0f, 0f); }
}
