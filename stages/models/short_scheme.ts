/**
 * A scheme in the fewest words, such as `W4A8KV4 g128` of `W4 g128 two-level post-scale A8 per token
 * KV4`: bits of weights, activations and KV cache, and the group where there is one.
 */
export function shortScheme(scheme: string): string {
  const found = /^W(\d+)(.*?) A(\d+).*? KV([\d/]+)(, head W(\d+).* A(\d+).*)?$/.exec(scheme);
  if (!found) return scheme;
  const [, weights, details = "", inputs, cache, ofHead, headWeights, headInputs] = found;
  const head = ofHead ? ` head W${headWeights}A${headInputs}` : "";
  const group = / g\d+/.exec(details)?.[0] ?? "";
  const mixed = scheme.includes(" (mixed)") ? " mixed" : "";
  return `W${weights}A${inputs}KV${cache}${group}${mixed}${head}`;
}
