import { bind, textArgument } from "./arguments.ts";
import { checkSize } from "./budget.ts";
import { isSpace, lengthOf, splitLines, strip } from "./characters.ts";
import { TemplateError } from "./template_error.ts";
import { iterate, type TemplateCall, type TemplateValue, toIndex, Tuple } from "./values.ts";

type Method = (text: string, call: TemplateCall) => TemplateValue;

const LETTER = /\p{L}/u;
/** Letters whose case Python asks for. */
const CASED = /[\p{Lu}\p{Ll}\p{Lt}]/u;

function plain(change: (text: string) => TemplateValue): Method {
  return (text, call) => {
    bind("", call, "");
    return change(text);
  };
}

function every(test: (character: string) => boolean): Method {
  return plain((text) => text !== "" && Array.from(text).every(test));
}

function stripping(name: string, ends: "both" | "left" | "right"): Method {
  return (text, call) => {
    const [characters = null] = bind(name, call, "chars?");
    return strip(text, characters === null ? null : textArgument(name, characters), ends);
  };
}

function affix(name: string, has: (text: string, part: string) => boolean): Method {
  return (text, call) => {
    const [part, start, end] = bind(name, call, "part start? end?");
    const within = sliced(text, start, end);
    const parts = part instanceof Tuple ? part.items : [part!];
    return within !== undefined && parts.some((each) => has(within, textArgument(name, each)));
  };
}

/** The part of a text that a search looks at; undefined where it begins behind the text. */
function sliced(
  text: string,
  start?: TemplateValue | null,
  end?: TemplateValue | null,
): string | undefined {
  if ((start ?? null) === null && (end ?? null) === null) return text;
  const all = Array.from(text);
  const from = (start ?? null) === null ? 0 : toIndex(start!, "start");
  if (from > all.length) return undefined;
  return all.slice(from, (end ?? null) === null ? undefined : toIndex(end!, "end")).join("");
}

function search(name: string, find: "indexOf" | "lastIndexOf", missing: boolean): Method {
  return (text, call) => {
    const [part, start, end] = bind(name, call, "part start? end?");
    const within = sliced(text, start, end);
    const at = within?.[find](textArgument(name, part)) ?? -1;
    if (at < 0 && missing) throw new TemplateError("substring not found");
    if (at < 0) return -1n;
    const offset = typeof start === "bigint"
      ? Math.max(0, start < 0n ? lengthOf(text) + Number(start) : Number(start))
      : 0;
    return BigInt(lengthOf(within!.slice(0, at)) + offset);
  };
}

function splitting(name: "split" | "rsplit"): Method {
  return (text, call) => {
    const [separator = null, most = -1n] = bind(name, call, "sep? maxsplit?");
    const count = toIndex(most, "maxsplit");
    const limit = count < 0 ? Infinity : count;
    const right = name === "rsplit";
    return separator === null
      ? splitSpace(text, limit, right)
      : splitAt(text, textArgument(name, separator), limit, right);
  };
}

function splitAt(text: string, separator: string, limit: number, right: boolean): string[] {
  if (separator === "") throw new TemplateError("empty separator");
  const parts = text.split(separator);
  if (parts.length - 1 <= limit) return parts;
  return right
    ? [parts.slice(0, parts.length - limit).join(separator), ...parts.slice(parts.length - limit)]
    : [...parts.slice(0, limit), parts.slice(limit).join(separator)];
}

function splitSpace(text: string, limit: number, right: boolean): string[] {
  const words: { from: number; to: number }[] = [];
  for (let at = 0; at < text.length;) {
    while (at < text.length && isSpace(text[at]!)) at++;
    const from = at;
    while (at < text.length && !isSpace(text[at]!)) at++;
    if (at > from) words.push({ from, to: at });
  }
  const all = words.map(({ from, to }) => text.slice(from, to));
  if (all.length <= limit) return all;
  if (right) {
    const first = words[words.length - limit - 1]!;
    return [strip(text.slice(0, first.to), null, "left"), ...all.slice(all.length - limit)];
  }
  return [...all.slice(0, limit), strip(text.slice(words[limit]!.from), null, "right")];
}

function padding(name: string, pad: (text: string, room: number, fill: string) => string): Method {
  return (text, call) => {
    const [width, fill = " "] = bind(name, call, "width fillchar?");
    const size = toIndex(width!, "width");
    checkSize(size);
    return pad(text, Math.max(0, size - lengthOf(text)), textArgument(name, fill));
  };
}

/** Python's title case: a letter is large where none stands before it. */
function titled(text: string): string {
  let within = false;
  return Array.from(text, (character) => {
    const changed = within ? character.toLowerCase() : titleLetter(character);
    within = CASED.test(character);
    return changed;
  }).join("");
}

/** Letters of two, of which title case makes the first large. */
const DIGRAPHS: Readonly<Record<string, string>> = { "ǆ": "ǅ", "ǉ": "ǈ", "ǌ": "ǋ", "ǳ": "ǲ" };

function titleLetter(character: string): string {
  const digraph = DIGRAPHS[character.toLowerCase()];
  if (digraph !== undefined) return digraph;
  const upper = character.toUpperCase();
  return Array.from(upper).length > 1 ? upper[0]! + upper.slice(1).toLowerCase() : upper;
}

/** The first letter large, all others small. */
export function capitalized(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return titleLetter(first) + rest.join("").toLowerCase();
}

function casing(change: (text: string) => string, other: (text: string) => string): Method {
  return plain((text) => change(text) === text && other(text) !== text);
}

/** `str.replace`, at most so many times where a count is said. */
export function replaced(text: string, from: string, to: string, count: number): string {
  const parts = from === "" ? ["", ...Array.from(text), ""] : text.split(from);
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  checkSize(text.length + times * to.length);
  return parts.slice(0, times + 1).join(to) +
    (times + 1 < parts.length ? from + parts.slice(times + 1).join(from) : "");
}

/** Methods of texts by their names. */
export const STRING_METHODS: Readonly<Record<string, Method>> = {
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  casefold: plain((text) => text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ")),
  title: plain(titled),
  capitalize: plain(capitalized),
  swapcase: plain((text) =>
    Array.from(
      text,
      (each) => each === each.toUpperCase() ? each.toLowerCase() : each.toUpperCase(),
    ).join("")
  ),
  strip: stripping("strip", "both"),
  lstrip: stripping("lstrip", "left"),
  rstrip: stripping("rstrip", "right"),
  startswith: affix("startswith", (text, part) => text.startsWith(part)),
  endswith: affix("endswith", (text, part) => text.endsWith(part)),
  removeprefix: (text, call) => {
    const prefix = textArgument("removeprefix", bind("removeprefix", call, "prefix")[0]);
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, call) => {
    const suffix = textArgument("removesuffix", bind("removesuffix", call, "suffix")[0]);
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  split: splitting("split"),
  rsplit: splitting("rsplit"),
  splitlines: (text, call) => splitLines(text, bind("splitlines", call, "keepends?")[0] === true),
  partition: (text, call) => {
    const part = textArgument("partition", bind("partition", call, "sep")[0]);
    const at = text.indexOf(part);
    return new Tuple(
      at < 0 ? [text, "", ""] : [text.slice(0, at), part, text.slice(at + part.length)],
    );
  },
  rpartition: (text, call) => {
    const part = textArgument("rpartition", bind("rpartition", call, "sep")[0]);
    const at = text.lastIndexOf(part);
    return new Tuple(
      at < 0 ? ["", "", text] : [text.slice(0, at), part, text.slice(at + part.length)],
    );
  },
  replace: (text, call) => {
    const [from, to, count = -1n] = bind("replace", call, "old new count?");
    const times = toIndex(count, "count");
    return replaced(text, textArgument("replace", from), textArgument("replace", to), times);
  },
  find: search("find", "indexOf", false),
  rfind: search("rfind", "lastIndexOf", false),
  index: search("index", "indexOf", true),
  rindex: search("rindex", "lastIndexOf", true),
  count: (text, call) => {
    const [part, start, end] = bind("count", call, "part start? end?");
    const within = sliced(text, start, end) ?? "";
    const wanted = textArgument("count", part);
    return BigInt(wanted === "" ? lengthOf(within) + 1 : within.split(wanted).length - 1);
  },
  join: (text, call) => {
    const [items] = bind("join", call, "iterable");
    const parts = [...iterate(items!)].map((each) => textArgument("join", each));
    checkSize(parts.reduce((sum, { length }) => sum + length + text.length, 0));
    return parts.join(text);
  },
  center: padding("center", (text, room, fill) => {
    const left = Math.floor(room / 2) + (room % 2 && (lengthOf(text) + room) % 2 ? 1 : 0);
    return fill.repeat(left) + text + fill.repeat(room - left);
  }),
  ljust: padding("ljust", (text, room, fill) => text + fill.repeat(room)),
  rjust: padding("rjust", (text, room, fill) => fill.repeat(room) + text),
  zfill: (text, call) => {
    const width = toIndex(bind("zfill", call, "width")[0]!, "width");
    checkSize(width);
    const sign = /^[+-]/.test(text) ? text[0]! : "";
    return sign + "0".repeat(Math.max(0, width - lengthOf(text))) + text.slice(sign.length);
  },
  isspace: every(isSpace),
  isdigit: every((each) => /[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]/u.test(each)),
  isdecimal: every((each) => /\p{Nd}/u.test(each)),
  isnumeric: every((each) => /\p{N}/u.test(each)),
  isalpha: every((each) => LETTER.test(each)),
  isalnum: every((each) => /[\p{L}\p{N}]/u.test(each)),
  isascii: plain((text) => Array.from(text).every((each) => each.codePointAt(0)! < 128)),
  isupper: casing((text) => text.toUpperCase(), (text) => text.toLowerCase()),
  islower: casing((text) => text.toLowerCase(), (text) => text.toUpperCase()),
  istitle: plain((text) => CASED.test(text) && titled(text) === text),
};
