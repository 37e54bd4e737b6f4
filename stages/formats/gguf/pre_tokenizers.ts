/** How a family of byte-level tokenizers cuts text before merging, as `tokenizer.json` says it. */
export interface PreTokenizer {
  readonly preTokenizer: unknown;
  /** Whether text is brought to composed form first. */
  readonly composed: boolean;
  /** Whether a piece that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with the first token where the metadata does not say. */
  readonly bos: boolean;
}

const BYTES = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const GPT2 = { ...BYTES, use_regex: true };

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const SYMBOLS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const UPPER = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const LOWER = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";

function split(pattern: string): unknown {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function sequence(...pretokenizers: readonly unknown[]): PreTokenizer {
  const preTokenizer = { type: "Sequence", pretokenizers };
  return { preTokenizer, composed: false, ignoreMerges: false, bos: false };
}

function cut(pattern: string): PreTokenizer {
  return sequence(split(pattern), { ...BYTES, use_regex: false });
}

const gpt2: PreTokenizer = {
  preTokenizer: GPT2,
  composed: false,
  ignoreMerges: false,
  bos: false,
};
const digits = sequence({ type: "Digits", individual_digits: true }, GPT2);
const llama3: PreTokenizer = {
  ...cut(`${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${SYMBOLS}|${SPACES}`),
  ignoreMerges: true,
  bos: true,
};
const qwen2: PreTokenizer = {
  ...cut(`${CONTRACTIONS}|${WORDS}|\\p{N}|${SYMBOLS}|${SPACES}`),
  composed: true,
};
const tekken: PreTokenizer = {
  ...cut(
    `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*|` +
      `\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  ),
  ignoreMerges: true,
  bos: true,
};

/** Pre-tokenizers by the name `tokenizer.ggml.pre` gives them; the patterns are their models' own. */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  "default": gpt2,
  "gpt-2": gpt2,
  "phi-2": gpt2,
  "smollm": digits,
  "starcoder": digits,
  "refact": digits,
  "command-r": digits,
  "llama-bpe": llama3,
  "llama3": llama3,
  "llama-v3": llama3,
  "smaug-bpe": { ...llama3, ignoreMerges: false, bos: false },
  "qwen2": qwen2,
  "deepseek-r1-qwen": qwen2,
  "tekken": tekken,
};

/** The pre-tokenizer of this name; throws a `TypeError` that lists the known ones. */
export function findPreTokenizer(name: string, path: string): PreTokenizer {
  const found = Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
  if (found !== undefined) return found;
  throw new TypeError(
    `Cannot rebuild the tokenizer of "${path}": its tokenizer.ggml.pre is "${name}", expected one ` +
      `of ${Object.keys(PRE_TOKENIZERS).join(", ")}`,
  );
}

/** How a `tokenizer.json` cuts text, as far as a pre-tokenizer's name can say it. */
export type PreTokenizerHabits = Pick<PreTokenizer, "preTokenizer" | "composed" | "ignoreMerges">;

/** The name that says how a `tokenizer.json` cuts text; throws and says the nearest where none does. */
export function namePreTokenizer(habits: PreTokenizerHabits): string {
  const wanted = spelt(habits);
  // "default" stands for other cuts in llama.cpp than in old files of GPT-2.
  const named = Object.entries(PRE_TOKENIZERS).filter(([name]) => name !== "default");
  const found = named.find(([, each]) => spelt(each).join() === wanted.join());
  if (found) return found[0];
  const parts = new Set(wanted);
  const likeness = (each: PreTokenizer) => {
    const theirs = spelt(each);
    return theirs.filter((part) => parts.has(part)).length / Math.max(theirs.length, parts.size);
  };
  const [nearest, cut] = named.reduce((a, b) => likeness(b[1]) > likeness(a[1]) ? b : a);
  const theirs = new Set(spelt(cut));
  const odd = wanted.find((part) => !theirs.has(part)) ??
    [...theirs].find((part) => !parts.has(part));
  throw new TypeError(
    `Cannot write the tokenizer to a GGUF file: llama.cpp knows no name for the way it cuts text, ` +
      `expected one of ${
        named.map(([name]) => name).join(", ")
      }; the nearest is ${nearest}, which ` +
      `differs in ${odd}`,
  );
}

/** A step of the `pre_tokenizer` of a `tokenizer.json`, as far as names can say it. */
interface Step {
  readonly type?: string;
  readonly pattern?: { readonly Regex?: string; readonly String?: string };
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly individual_digits?: boolean;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
  readonly pretokenizers?: readonly Step[];
}

/** What decides where text is cut, a string each; offsets, which `trim_offsets` moves, do not. */
function spelt({ preTokenizer, composed, ignoreMerges }: PreTokenizerHabits): string[] {
  const steps = (step: Step): string[] => {
    if (step.type === "Sequence") return [step.pretokenizers ?? []].flat().flatMap(steps);
    if (step.type === "Split") {
      const how = `${step.behavior}${step.invert ? " inverted" : ""}`;
      const alternatives = step.pattern?.Regex?.split("|").map((each) => `/${each}/`);
      return [...alternatives ?? [`"${step.pattern?.String}"`], how];
    }
    if (step.type === "ByteLevel") {
      const words = [
        step.add_prefix_space ? "prefix" : "",
        step.use_regex === false ? "" : "regex",
      ];
      return [["ByteLevel", ...words.filter(Boolean)].join(" ")];
    }
    if (step.type === "Digits") return [step.individual_digits ? "single digits" : "digits"];
    return [JSON.stringify(step)];
  };
  return [
    ...steps((preTokenizer ?? {}) as Step),
    composed ? "NFC" : "text as it is",
    ignoreMerges ? "whole pieces before merges" : "merges",
  ];
}
