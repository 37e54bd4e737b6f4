// Scores of KEYS keys, by way of workgroup memory: each thread then makes the weights that it needs.
// Expects: parts/attention_slice.wgsl.

// Whether `scores` holds weights and `maxima` the largest score of each block already.
const WEIGHED = false;

fn score_keys(query: Query, here: u32, end: u32, head: u32, thread: u32) {
  for (var i = thread; i < KEYS; i += THREADS) {
    scores[i] = score_in_sight(query, here + i, end, head);
  }
}
