// Weights and values of x, four words a load: inner sizes, and groups, are multiples of 32.
// Expects: parts/matmul_int8.wgsl and what it expects, Words of vec4u, GROUP_RUNS (u32, runs of 32 inner
// values that share a scale).

// What holds 32 weights: one quad of nibbles, or two of bytes.
alias Run = array<vec4u, 2>;

fn run_of(row: u32, at: u32) -> Run {
  if (NIBBLES) { return Run(weight[row * (params.inner / 32u) + at], vec4u()); }
  let first = row * (params.inner / 16u) + 2u * at;
  return Run(weight[first], weight[first + 1u]);
}

// The group of run `at` of a row.
fn group_of(row: u32, at: u32) -> Group {
  if (!GROUPED) { return vec2u(); }
  let index = at / GROUP_RUNS;
  let width = (params.inner / 32u / GROUP_RUNS + 1u) / 2u;
  return unpacked_group(groups[row * width + index / 2u] >> (16u * (index % 2u)));
}

// Half of a run as signed bytes: 16 weights.
fn half_of(held: Run, half_run: u32, group: Group) -> vec4u {
  if (!NIBBLES) { return select(held[0], held[1], half_run == 1u); }
  let words = select(held[0].xy, held[0].zw, half_run == 1u);
  return vec4u(bytes_of(words.x, group), bytes_of(words.y, group));
}

// Adds 16 products, each word's to the sum before, as processors do at once.
fn add_dots(sum: i32, a: vec4u, b: vec4u) -> i32 {
  var all = sum + dot4I8Packed(a.x, b.x);
  all += dot4I8Packed(a.y, b.y);
  all += dot4I8Packed(a.z, b.z);
  all += dot4I8Packed(a.w, b.w);
  return all;
}
