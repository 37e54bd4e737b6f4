/** Code points from one to another, both within. */
type Range = readonly [first: number, last: number];

/** A pattern that cannot be held to; `at` is the place in it. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

const LAST = 0x10ffff;
/** What means something in a class of EBNF: - [ \\ ] ^. */
const MARKS = [0x2d, 0x5b, 0x5c, 0x5d, 0x5e];
const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORDS: readonly Range[] = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACES: readonly Range[] = [[0x09, 0x0d], [0x20, 0x20], [0xa0, 0xa0], [0xfeff, 0xfeff]];
const LINE_ENDS: readonly Range[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
/** What no answer by a grammar holds but by its escape; see `Utf8Masks`. */
const SEPARATORS: readonly Range[] = [
  [0xa0, 0xa0],
  [0x2028, 0x2029],
  [0xfeff, 0xfeff],
];
const LAST_ASCII = 0x7f;
/** Characters beyond ASCII that a class may name. */
const MOST_CHARACTERS = 512;
const SURROGATES: readonly Range[] = [[0xd800, 0xdfff]];
/** What stands in a JSON string by its escape only: control characters, quote and backslash. */
const ESCAPED: readonly Range[] = [[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]];

const NAMED: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const CLASSES: Readonly<Record<string, readonly Range[]>> = {
  d: DIGITS,
  w: WORDS,
  s: SPACES,
  D: without([[0, LAST]], DIGITS),
  W: without([[0, LAST]], WORDS),
  S: without([[0, LAST]], SPACES),
};

/**
 * Writes a regular expression of JavaScript (ECMA-262 with the flag u) as EBNF that produces the texts it
 * matches as a whole.
 *
 * `json` is for the inside of JSON strings: what needs an escape there gets it where the pattern names
 * it, and is left out of classes that say what there must not be. Throws a PatternError for what no
 * grammar is made of.
 */
export function patternRule(pattern: string, { json }: { readonly json: boolean }): string {
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    // What was wrong stands behind the pattern, which the reader has.
    const why = (error as SyntaxError).message.split(": ").at(-1);
    throw new PatternError(`it is no pattern (${why})`);
  }
  return new PatternReader(pattern, json).whole();
}

class PatternReader {
  readonly #text: string;
  readonly #json: boolean;
  #at = 0;
  /** Ends of the text that were asked for so far. */
  #dollars = 0;

  constructor(text: string, json: boolean) {
    this.#text = text;
    this.#json = json;
  }

  whole(): string {
    return this.#group(true);
  }

  /** Alternatives up to the end or a closing parenthesis. */
  #group(begins: boolean): string {
    const alternatives: string[] = [];
    do alternatives.push(this.#sequence(begins)); while (this.#take("|"));
    return `(${alternatives.map((one) => one === "" ? '""' : one).join(" | ")})`;
  }

  /** What follows each other; `begins` says whether nothing can stand before it. */
  #sequence(begins: boolean): string {
    const made: string[] = [];
    while (this.#take("^")) if (!begins) throw new PatternError("^ stands in the middle");
    const before = this.#dollars;
    while (this.#at < this.#text.length && !/[|)]/.test(this.#text[this.#at]!)) {
      if (this.#take("$")) {
        this.#dollars++;
        continue;
      }
      if (this.#dollars > before) throw new PatternError("$ stands in the middle");
      if (this.#text[this.#at] === "^") throw new PatternError("^ stands in the middle");
      const atom = this.#atom(begins && made.length === 0);
      const count = this.#count();
      if (count !== "" && this.#dollars > before) throw new PatternError("$ is repeated");
      made.push(atom + count);
    }
    return made.join(" ");
  }

  #count(): string {
    const found = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(this.#text.slice(this.#at))?.[0] ?? "";
    this.#at += found.length;
    // How greedy it is does not change what it matches as a whole.
    if (found !== "") this.#take("?");
    return found;
  }

  #atom(begins: boolean): string {
    if (this.#take("(")) {
      const mark = /^\?(?:<[A-Za-z_$][\w$]*>|:)/.exec(this.#text.slice(this.#at))?.[0];
      if (mark === undefined && this.#text[this.#at] === "?") {
        throw new PatternError("it looks ahead or behind");
      }
      this.#at += mark?.length ?? 0;
      const group = this.#group(begins);
      this.#take(")");
      return group;
    }
    if (this.#take(".")) return this.#class(without([[0, LAST]], LINE_ENDS), []);
    if (this.#take("[")) return this.#brackets();
    if (this.#take("\\")) {
      const named = this.#escape();
      return typeof named === "number" ? this.#class([], [named]) : this.#class(named, []);
    }
    return this.#class([], [this.#point()]);
  }

  #brackets(): string {
    const not = this.#take("^");
    const [ranges, points]: [Range[], number[]] = [[], []];
    while (!this.#take("]")) {
      const first = this.#member();
      if (typeof first !== "number") {
        ranges.push(...first);
        continue;
      }
      const dash = this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]";
      if (!dash) {
        points.push(first);
        continue;
      }
      this.#at++;
      const last = this.#member();
      if (typeof last === "number") ranges.push([first, last]);
      else ranges.push([first, first], [0x2d, 0x2d], ...last);
    }
    if (!not) return this.#class(ranges, points);
    const all: Range[] = [...ranges, ...points.map((point): Range => [point, point])];
    return this.#class(without([[0, LAST]], all), []);
  }

  #member(): number | readonly Range[] {
    if (this.#take("\\")) return this.#take("b") ? 8 : this.#escape();
    return this.#point();
  }

  /** What stands behind a backslash. */
  #escape(): number | readonly Range[] {
    const rest = this.#text.slice(this.#at);
    const hex = /^(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]+)\})/.exec(rest);
    if (hex) {
      this.#at += hex[0].length;
      return parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
    }
    const letter = rest[0]!;
    if (/[1-9k]/.test(letter)) throw new PatternError("it refers back to a group");
    if (/[pPbBc]/.test(letter)) throw new PatternError(`it has \\${letter}`);
    this.#at++;
    return CLASSES[letter] ?? NAMED[letter] ?? letter.codePointAt(0)!;
  }

  #point(): number {
    const point = this.#text.codePointAt(this.#at)!;
    this.#at += point > 0xffff ? 2 : 1;
    return point;
  }

  #take(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  /** One character of some; those that are named as `points` may need an escape. */
  #class(ranges: readonly Range[], points: readonly number[]): string {
    const all = [...ranges, ...points.map((point): Range => [point, point])];
    const plain = without(merged(all), [
      ...SURROGATES,
      ...SEPARATORS,
      ...this.#json ? ESCAPED : [],
    ]);
    const named = points.filter((point) =>
      this.#json && ESCAPED.some(([first, last]) => point >= first && point <= last)
    );
    const choices = named.map((point) => {
      const spelt = JSON.stringify(String.fromCodePoint(point)).slice(1, -1);
      return [...spelt].map((letter) => quoted(letter.codePointAt(0)!)).join(" ");
    });
    choices.push(...listed(plain));
    if (choices.length === 0) {
      throw new PatternError("it wants a character that no answer can have");
    }
    return `(${choices.join(" | ")})`;
  }
}

/**
 * Alternatives of EBNF for one character of some. Classes of the library know ASCII alone: beyond it
 * there is all that is no ASCII (a class turned round, cpp/earley_parser.cc of xgrammar 0.1.27,
 * AdvanceCharacterClass), or each character by itself.
 */
function listed(ranges: readonly Range[]): string[] {
  const beyond = without(ranges, [[0, LAST_ASCII]]);
  if (isAllBeyond(beyond)) {
    // One class is matched far faster than a choice of two.
    const lacking = without([[0, LAST_ASCII]], ranges);
    const all = ["[\\x00-\\x7f]", "[^\\x00-\\x7f]"];
    return lacking.length === 0 ? all : [`[^${lacking.map(item).join("")}]`];
  }
  const others = without(ranges, [[LAST_ASCII + 1, LAST], ...MARKS.map((at): Range => [at, at])]);
  const marks = MARKS.filter((mark) =>
    ranges.some(([first, last]) => first <= mark && mark <= last)
  );
  return [
    ...others.length > 0 ? [`[${others.map(item).join("")}]`] : [],
    ...marks.map(quoted),
    ...beyondAscii(beyond),
  ];
}

function item([first, last]: Range): string {
  return first === last ? escaped(first) : `${escaped(first)}-${escaped(last)}`;
}

/** Whether ranges have all that is no ASCII, as far as answers may hold it. */
function isAllBeyond(ranges: readonly Range[]): boolean {
  const held = without([[LAST_ASCII + 1, LAST]], [...SURROGATES, ...SEPARATORS]);
  return without(held, ranges).length === 0;
}

function beyondAscii(ranges: readonly Range[]): string[] {
  const said = without(ranges, SEPARATORS);
  const count = said.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (count > MOST_CHARACTERS) {
    throw new PatternError(
      `a class of it has ${count} characters beyond ASCII: there can be all or ${MOST_CHARACTERS}`,
    );
  }
  return said.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, at) => quoted(first + at))
  );
}

/** A character as a text of EBNF. */
function quoted(point: number): string {
  return `"${escaped(point)}"`;
}

function escaped(point: number): string {
  return `\\U${point.toString(16).padStart(8, "0")}`;
}

/** In order, without overlaps. */
function merged(ranges: readonly Range[]): Range[] {
  const made: [number, number][] = [];
  for (const [first, last] of ranges.toSorted(([left], [right]) => left - right)) {
    const before = made.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else made.push([first, last]);
  }
  return made;
}

function without(ranges: readonly Range[], taken: readonly Range[]): Range[] {
  let left = [...ranges];
  for (const [first, last] of taken) {
    left = left.flatMap(([from, to]): Range[] => {
      if (last < from || first > to) return [[from, to]];
      return [[from, first - 1] as Range, [last + 1, to] as Range].filter(([a, b]) => a <= b);
    });
  }
  return left;
}
