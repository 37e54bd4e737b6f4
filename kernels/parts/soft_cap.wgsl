// cap * tanh(x / cap) (Bello et al. 2016, section 3.1, as Gemma 2 has it). tanh is that of S. Moshier's
// Cephes, tanhf.c, which keeps small numbers exact; larger ones than 10 are 1 in single precision.
// Expects: CAPPED (bool), whether there is a cap at all.

fn soft_capped(x: f32, cap: f32) -> f32 {
  if (!CAPPED) { return x; }
  let t = x / cap;
  let size = min(abs(t), 10f);
  let square = size * size;
  var sum = fma(-5.70498872745e-3f, square, 2.06390887954e-2f);
  sum = fma(sum, square, -5.37397155531e-2f);
  sum = fma(sum, square, 1.33314422036e-1f);
  sum = fma(sum, square, -3.33332819422e-1f);
  let small = fma(sum * square, size, size);
  let large = 1f - 2f / (exp(2f * size) + 1f);
  return cap * sign(t) * select(large, small, size < 0.625f);
}
