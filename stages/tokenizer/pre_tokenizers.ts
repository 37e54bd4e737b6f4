import { z } from "zod";
import { toByteCharacters } from "./byte_characters.ts";
import {
  type Component,
  type ComponentMakers,
  makeComponents,
  patternField,
  settings,
} from "./component.ts";
import { readPattern, SPLIT_BEHAVIORS, splitStretch, type Stretch } from "./split.ts";
import { NUMERIC, PUNCTUATION, WHITE, WORD_CLASS } from "./unicode.ts";

/** Cuts a stretch into what is made tokens of one by one. */
type Cut = (stretch: Stretch) => Stretch[];

/** Where GPT-2 cuts text: contractions, words, numbers, symbols and white space. */
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
/** Words and what stands between them and white space. */
const WORDS = new RegExp(`[${WORD_CLASS}]+|[^${WORD_CLASS}\\p{White_Space}]+`, "gu");

const behaviorField = z.enum(SPLIT_BEHAVIORS);

function byteLevel(component: Component): Cut {
  const { add_prefix_space: prefix, use_regex: cuts } = settings(
    component,
    z.object({ add_prefix_space: z.boolean(), use_regex: z.boolean().default(true) }),
  );
  return ({ text, first }) => {
    const spaced = prefix && !text.startsWith(" ") ? ` ${text}` : text;
    const parts = cuts
      ? splitStretch({ text: spaced, first }, GPT2, "Isolated")
      : [{ text: spaced, first }];
    return parts.map((part) => ({ text: toByteCharacters(part.text), first: part.first }));
  };
}

/** When a mark is put before a text: before every stretch, where the text begins, or not at all. */
const prependScheme = z.enum(["always", "first", "never"]);

function metaspace(component: Component): Cut {
  const { replacement, prepend_scheme: said, split, add_prefix_space: old } = settings(
    component,
    z.object({
      replacement: z.string().refine((mark) => Array.from(mark).length === 1, "not one character"),
      prepend_scheme: prependScheme.nullish(),
      split: z.boolean().nullish(),
      add_prefix_space: z.boolean().nullish(),
    }),
  );
  if (old === false && said && said !== "never") {
    throw new TypeError(
      `Cannot use the tokenizer: its Metaspace has add_prefix_space false and prepend_scheme ${said}, expected never`,
    );
  }
  const scheme = old === false ? "never" : said ?? "always";
  const mark = new RegExp(RegExp.escape(replacement), "gu");
  return ({ text, first }) => {
    const marked = text.replaceAll(" ", replacement);
    const wants = scheme === "always" || (scheme === "first" && first);
    const whole = wants && !marked.startsWith(replacement) ? replacement + marked : marked;
    return split === false
      ? [{ text: whole, first }]
      : splitStretch({ text: whole, first }, mark, "MergedWithNext");
  };
}

const MAKERS: ComponentMakers<Cut> = {
  BertPreTokenizer: () => (stretch) =>
    splitStretch(stretch, WHITE, "Removed").flatMap((part) =>
      splitStretch(part, PUNCTUATION, "Isolated")
    ),
  ByteLevel: byteLevel,
  CharDelimiterSplit: (component) => {
    const { delimiter } = settings(component, z.object({ delimiter: z.string().min(1) }));
    const pattern = new RegExp(RegExp.escape(delimiter), "gu");
    return (stretch) => splitStretch(stretch, pattern, "Removed");
  },
  Digits: (component) => {
    const { individual_digits: single } = settings(
      component,
      z.object({ individual_digits: z.boolean() }),
    );
    return (stretch) => splitStretch(stretch, NUMERIC, single ? "Isolated" : "Contiguous");
  },
  FixedLength: (component) => {
    const { length } = settings(component, z.object({ length: z.int().positive() }));
    const pattern = new RegExp(`[^]{1,${length}}`, "gu");
    return (stretch) => splitStretch(stretch, pattern, "Isolated");
  },
  Metaspace: metaspace,
  Punctuation: (component) => {
    const { behavior } = settings(
      component,
      z.object({ behavior: behaviorField.default("Isolated") }),
    );
    return (stretch) => splitStretch(stretch, PUNCTUATION, behavior);
  },
  Split: (component) => {
    const { pattern: field, behavior, invert } = settings(
      component,
      z.object({ pattern: patternField, behavior: behaviorField, invert: z.boolean() }),
    );
    const pattern = readPattern(field);
    return (stretch) => splitStretch(stretch, pattern, behavior, invert);
  },
  Whitespace: () => (stretch) => splitStretch(stretch, WORDS, "Removed", true),
  WhitespaceSplit: () => (stretch) => splitStretch(stretch, WHITE, "Removed"),
};

/** Reads the `pre_tokenizer` of a `tokenizer.json`: where a stretch is cut, in the order it says. */
export function makePreTokenizer(json: unknown): Cut {
  const steps = makeComponents(json, {
    part: "pre_tokenizer",
    list: "pretokenizers",
    makers: MAKERS,
  });
  return (stretch) => steps.reduce((parts, step) => parts.flatMap(step), [stretch]);
}
