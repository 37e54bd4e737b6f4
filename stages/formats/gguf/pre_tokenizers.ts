import { OTHER_PRE_TOKENIZERS, PRE_TOKENIZERS, type PreTokenizer } from "./pre_tokenizer_list.ts";

/** The pre-tokenizer that llama.cpp takes where a file names none. */
export const UNNAMED = "default";

/** The pre-tokenizer of this name; throws a `TypeError` that lists the known ones. */
export function findPreTokenizer(name: string, path: string): PreTokenizer {
  const found = Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
  if (found !== undefined) return found;
  const other = Object.hasOwn(OTHER_PRE_TOKENIZERS, name) ? OTHER_PRE_TOKENIZERS[name] : undefined;
  throw new TypeError(
    `Cannot rebuild the tokenizer of "${path}": its tokenizer.ggml.pre is "${name}"${
      other ? `, ${other}` : ""
    }, expected one of ${Object.keys(PRE_TOKENIZERS).join(", ")}`,
  );
}

/** How a `tokenizer.json` cuts text, as far as a pre-tokenizer's name can say it. */
export type PreTokenizerHabits = Pick<PreTokenizer, "preTokenizer" | "composed" | "ignoreMerges">;

/** The name that says how a `tokenizer.json` cuts text; throws and says the nearest where none does. */
export function namePreTokenizer(habits: PreTokenizerHabits): string {
  const wanted = spelt(habits);
  const named = Object.entries(PRE_TOKENIZERS);
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
      `expected one that has a name; the nearest is ${nearest}, which differs in ${odd}`,
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
