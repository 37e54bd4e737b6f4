// The order of attention's sums, the same for any batch and any cut of a prompt into chunks: the keys of
// a sequence lie in blocks of 16 from its first one. A score adds products channel after channel. A
// block's weights are exp(score - the block's maximum); they, and values times them, are added key after
// key, and blocks one after another to the sums before, both brought under the larger maximum. So are
// slices of 256 keys, to the sums of the slices before: workgroups may share the keys of a sequence. A
// block or slice whose keys are all hidden from a query is left out.
// Sums of products are fma, since a driver might contract them in one shader and not in another; for
// the same reason queries are scaled, not scores.

const BLOCK = 16u;
const SLICE = 256u;
// Score of a hidden key.
const LOWEST = -3.4028234e38;

// Of the blocks, or slices, that a query has seen: the maximum of its scores, the sum of weights under it.
struct Seen {
  most: f32,
  weight: f32,
}

// Factors that bring the sums so far, and those of a block or slice, under their common maximum.
struct Merge {
  fade: f32,
  part: f32,
}

fn nothing() -> Seen {
  return Seen(LOWEST, 0f);
}

// Adds a block or slice with a key in sight, by its maximum and its sum of weights.
fn merged(seen: ptr<function, Seen>, most: f32, weight: f32) -> Merge {
  let higher = max((*seen).most, most);
  let merge = Merge(exp((*seen).most - higher), exp(most - higher));
  *seen = Seen(higher, fma((*seen).weight, merge.fade, weight * merge.part));
  return merge;
}

fn weight_of(score: f32, most: f32) -> f32 {
  return select(exp(score - most), 0f, score == LOWEST);
}

fn add_four(sum: f32, a: vec4f, b: vec4f) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
