/** A step of the `pre_tokenizer` of a `tokenizer.json`, as far as we look at it. */
interface Step {
  readonly type?: string;
  readonly individual_digits?: boolean;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
  readonly pretokenizers?: readonly Step[];
}

/** Where GPT-2 cuts text: contractions, words, numbers, symbols and white space. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * The same `tokenizer.json` with its ready-made cuts spelt out as patterns.
 *
 * The Rust library that defines the format counts "½" and "٣" as digits and U+0085 as white
 * space; the JavaScript one does so only in patterns, and would give other tokens.
 */
export function withExactSplits(tokenizer: unknown): object {
  const { pre_tokenizer: step } = tokenizer as { readonly pre_tokenizer?: Step | null };
  return { ...(tokenizer as object), ...(step ? { pre_tokenizer: exactly(step) } : {}) };
}

function exactly(step: Step): unknown {
  switch (step.type) {
    case "Sequence":
      return { ...step, pretokenizers: step.pretokenizers?.map(exactly) };
    case "Digits":
      return splitAt(step.individual_digits ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel":
      if (step.add_prefix_space || step.use_regex === false) return step;
      return { type: "Sequence", pretokenizers: [splitAt(GPT2), { ...step, use_regex: false }] };
    default:
      return step;
  }
}

function splitAt(pattern: string): unknown {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}
