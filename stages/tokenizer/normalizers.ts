import { z } from "zod";
import { toByteCharacters } from "./byte_characters.ts";
import {
  type Component,
  type ComponentMakers,
  makeComponents,
  patternField,
  settings,
} from "./component.ts";
import { matchRanges, readPattern, type Stretch } from "./split.ts";
import {
  CONTROL_CHARACTERS,
  lowercase,
  MARKS,
  NMT_REMOVED,
  NMT_SPACES,
  NONSPACING_MARKS,
  normalForm,
  WHITE,
} from "./unicode.ts";

/** Changes a text before it is cut, as the Rust library's normalizer of the same name. */
export interface Normalizer {
  (text: string): string;
  /** How much it drops of the beginning of a text, where it may drop any. */
  dropped?(text: string): number;
}

const WHITE_START = /^\p{White_Space}+/u;
const WHITE_END = /\p{White_Space}+$/u;
const HAN =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/** How many code units of white space a text begins with. */
function leadingSpace(text: string): number {
  return WHITE_START.exec(text)?.[0].length ?? 0;
}

function strip(component: Component): Normalizer {
  const { strip_left: left, strip_right: right } = settings(
    component,
    z.object({ strip_left: z.boolean(), strip_right: z.boolean() }),
  );
  const change = (text: string) => {
    const rest = left ? text.replace(WHITE_START, "") : text;
    return right ? rest.replace(WHITE_END, "") : rest;
  };
  return left ? Object.assign(change, { dropped: leadingSpace }) : change;
}

function replace(component: Component): Normalizer {
  const { pattern: field, content } = settings(
    component,
    z.object({ pattern: patternField, content: z.string() }),
  );
  const pattern = readPattern(field);
  const change = (text: string) => {
    let changed = "";
    let end = 0;
    for (const [from, to] of matchRanges(text, pattern)) {
      changed += text.slice(end, from) + content;
      end = to;
    }
    return changed + text.slice(end);
  };
  if (content !== "") return change;
  const dropped = (text: string) => {
    let end = 0;
    for (const [from, to] of matchRanges(text, pattern)) {
      if (from > end) break;
      end = to;
    }
    return end;
  };
  return Object.assign(change, { dropped });
}

/** BERT's clean-up; `strip_accents` follows `lowercase` where it is not said. */
function bert(component: Component): Normalizer {
  const { clean_text: clean, handle_chinese_chars: han, strip_accents, lowercase: lower } =
    settings(
      component,
      z.object({
        clean_text: z.boolean(),
        handle_chinese_chars: z.boolean(),
        strip_accents: z.boolean().nullish(),
        lowercase: z.boolean(),
      }),
    );
  const accents = strip_accents ?? lower;
  return (text) => {
    let changed = text;
    if (clean) {
      changed = changed.replace(/[\0\ufffd]/g, "").replace(CONTROL_CHARACTERS, "")
        .replace(WHITE, " ");
    }
    if (han) changed = changed.replace(HAN, " $& ");
    if (accents) changed = normalForm(changed, "NFD").replace(NONSPACING_MARKS, "");
    return lower ? lowercase(changed) : changed;
  };
}

/** Clean-up of machine translation: control characters go, odd white space becomes a space. */
const nmt: Normalizer = Object.assign(
  (text: string) => text.replace(NMT_REMOVED, "").replace(NMT_SPACES, " "),
  { dropped: (text: string) => text.search(NMT_REMOVED) === 0 ? 1 : 0 },
);

const MAKERS: ComponentMakers<Normalizer> = {
  NFC: () => (text) => normalForm(text, "NFC"),
  NFD: () => (text) => normalForm(text, "NFD"),
  NFKC: () => (text) => normalForm(text, "NFKC"),
  NFKD: () => (text) => normalForm(text, "NFKD"),
  Lowercase: () => lowercase,
  Strip: strip,
  StripAccents: () =>
    Object.assign((text: string) => text.replace(MARKS, ""), {
      dropped: (text: string) => text.search(MARKS) === 0 ? 1 : 0,
    }),
  Prepend: (component) => {
    const { prepend } = settings(component, z.object({ prepend: z.string() }));
    return (text) => text === "" ? "" : prepend + text;
  },
  Replace: replace,
  BertNormalizer: bert,
  Nmt: () => nmt,
  ByteLevel: () => toByteCharacters,
};

/** Reads the `normalizer` of a `tokenizer.json`: what a stretch becomes before it is cut. */
export function makeNormalizer(json: unknown): (stretch: Stretch) => Stretch {
  const steps = makeComponents(json, {
    part: "normalizer",
    list: "normalizers",
    makers: MAKERS,
  });
  return ({ text, first }) => {
    let [now, begins] = [text, first];
    for (const step of steps) {
      begins &&= (step.dropped?.(now) ?? 0) === 0;
      now = step(now);
    }
    return { text: now, first: begins };
  };
}
