import { z } from "zod";
import { fromByteCharacters } from "./byte_characters.ts";
import {
  type Component,
  type ComponentMakers,
  makeComponents,
  patternField,
  settings,
} from "./component.ts";
import { matchRanges, readPattern } from "./split.ts";

/** Brings tokens nearer to the text that they stand for; the last step's are joined. */
type Decode = (tokens: readonly string[]) => readonly string[];

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const EXACT_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function byteLevel(tokens: readonly string[]): string[] {
  const parts = tokens.map(fromByteCharacters);
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return [UTF8.decode(bytes)];
}

function byteFallback(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      texts.push(EXACT_UTF8.decode(Uint8Array.from(bytes)));
    } catch {
      texts.push(...bytes.map(() => "\ufffd"));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const [, hex] = /^<0x([0-9A-Fa-f]{2})>$/.exec(token) ?? [];
    if (hex !== undefined) {
      bytes.push(parseInt(hex, 16));
      continue;
    }
    flush();
    texts.push(token);
  }
  flush();
  return texts;
}

/** Joins words as they are written: no space before punctuation and contractions. */
function tidied(text: string): string {
  return text.replaceAll(" .", ".").replaceAll(" ?", "?").replaceAll(" !", "!").replaceAll(
    " ,",
    ",",
  )
    .replaceAll(" ' ", "'").replaceAll(" n't", "n't").replaceAll(" 'm", "'m")
    .replaceAll(" do not", " don't").replaceAll(" 's", "'s").replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function wordPiece(component: Component): Decode {
  const { prefix, cleanup } = settings(
    component,
    z.object({ prefix: z.string(), cleanup: z.boolean() }),
  );
  return (tokens) =>
    tokens.map((token, at) => {
      const goesOn = token.startsWith(prefix);
      const text = at === 0 ? token : goesOn ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? tidied(text) : text;
    });
}

function strip(component: Component): Decode {
  const { content, start, stop } = settings(
    component,
    z.object({
      content: z.string().refine((text) => Array.from(text).length === 1, "not one character"),
      start: z.int().nonnegative(),
      stop: z.int().nonnegative(),
    }),
  );
  return (tokens) =>
    tokens.map((token) => {
      const characters = Array.from(token);
      let [from, to] = [0, characters.length];
      while (from < Math.min(start, to) && characters[from] === content) from++;
      const last = Math.max(from, to - stop);
      while (to > last && characters[to - 1] === content) to--;
      return characters.slice(from, to).join("");
    });
}

const MAKERS: ComponentMakers<Decode> = {
  BPEDecoder: (component) => {
    const { suffix } = settings(component, z.object({ suffix: z.string().min(1) }));
    return (tokens) =>
      tokens.map((token, at) => token.replaceAll(suffix, at === tokens.length - 1 ? "" : " "));
  },
  ByteFallback: () => byteFallback,
  ByteLevel: () => byteLevel,
  Fuse: () => (tokens) => [tokens.join("")],
  Metaspace: (component) => {
    const { replacement, prepend_scheme: scheme, add_prefix_space: old } = settings(
      component,
      z.object({
        replacement: z.string().min(1),
        prepend_scheme: z.string().nullish(),
        add_prefix_space: z.boolean().nullish(),
      }),
    );
    const drops = (scheme ?? "always") !== "never" && old !== false;
    return (tokens) =>
      tokens.map((token, at) => token.replaceAll(replacement, drops && at === 0 ? "" : " "));
  },
  Replace: (component) => {
    const { pattern: field, content } = settings(
      component,
      z.object({ pattern: patternField, content: z.string() }),
    );
    const pattern = readPattern(field);
    return (tokens) =>
      tokens.map((token) => {
        let text = "";
        let end = 0;
        for (const [from, to] of matchRanges(token, pattern)) {
          text += token.slice(end, from) + content;
          end = to;
        }
        return text + token.slice(end);
      });
  },
  Strip: strip,
  WordPiece: wordPiece,
};

/** Reads the `decoder` of a `tokenizer.json`; without one, tokens stand apart by spaces. */
export function makeDecoder(json: unknown): (tokens: readonly string[]) => string {
  if (json === null || json === undefined) return (tokens) => tokens.join(" ");
  const steps = makeComponents(json, { part: "decoder", list: "decoders", makers: MAKERS });
  return (tokens) => steps.reduce((now, step) => step(now), tokens).join("");
}
