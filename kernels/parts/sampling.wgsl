// What shaders that choose tokens share: what a row asks for, and noise that makes the largest of
// logit + noise a draw from their softmax.

// What a row asks for; floats as their bits.
struct Settings {
  temperature: f32,
  top_k: u32,
  top_p: f32,
  min_p: f32,
  seed: u32,
  step: u32,
}

fn scramble(words: vec4u) -> vec4u {
  // The finalizer of MurmurHash3: every bit of the input reaches every bit of the output.
  var h = words;
  h = (h ^ (h >> vec4u(16))) * 0x85ebca6bu;
  h = (h ^ (h >> vec4u(13))) * 0xc2b2ae35u;
  return h ^ (h >> vec4u(16));
}

// Gumbel noise of tokens, the same for the same seed and step whatever else is in the batch.
fn noise(seed: u32, step: u32, tokens: vec4u) -> vec4f {
  let start = scramble(scramble(vec4u(seed)) ^ vec4u(step));
  let words = scramble(start + tokens * 0x9e3779b9u);
  // 23 bits and a half: never 0, never 1.
  let uniform_values = (vec4f(words >> vec4u(9)) + 0.5) / 8388608f;
  return -log(-log(uniform_values));
}
