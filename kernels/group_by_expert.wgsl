// A counting sort of choices by expert, which keeps their order. One workgroup; a thread counts, and
// then places, all choices of an expert.
// Expects: THREADS (u32).

struct Params {
  rows: u32,
  chosen: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> experts: array<u32>;
@group(0) @binding(1) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> bounds: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  for (var expert = thread; expert < params.count; expert += THREADS) {
    var found = 0u;
    for (var i = 0u; i < params.rows; i++) { found += select(0u, 1u, experts[i] == expert); }
    bounds[expert + 1u] = found;
  }
  storageBarrier();
  if (thread == 0u) {
    bounds[0] = 0u;
    for (var expert = 0u; expert < params.count; expert++) { bounds[expert + 1u] += bounds[expert]; }
  }
  storageBarrier();
  for (var expert = thread; expert < params.count; expert += THREADS) {
    var row = bounds[expert];
    for (var i = 0u; i < params.rows; i++) {
      if (experts[i] == expert) {
        tokens[row] = i / params.chosen;
        places[i] = row;
        row++;
      }
    }
  }
}
