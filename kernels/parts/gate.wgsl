// What an activated gate lets through: SiLU, g / (1 + exp(-g)), or GELU by its tanh (Hendrycks and Gimpel
// 2016, section 2), g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))) / 2, which is g / (1 + exp(-2 ...)).
// Expects: GELU (bool).

fn gated(g: vec4f, up: vec4f) -> vec4f {
  var power = g;
  if (GELU) { power = g * fma(g * g, vec4f(0.0713548163), vec4f(1.5957691216)); }
  return g / (1f + exp(-power)) * up;
}
