import { bind, textArgument } from "./arguments.ts";
import { checkSize } from "./budget.ts";
import { lengthOf, splitLines, strip } from "./characters.ts";
import { jsonOf } from "./json.ts";
import { LIST_FILTERS } from "./list_filters.ts";
import { memberOf } from "./members.ts";
import { formatted } from "./percent_format.ts";
import { capitalized, replaced } from "./string_methods.ts";
import { TemplateError } from "./template_error.ts";
import { strOf } from "./python_text.ts";
import {
  isTrue,
  numberOf,
  type TemplateCall,
  type TemplateValue,
  toIndex,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** What a filter may ask of the template that it runs in. */
export interface FilterTools {
  filter(name: string, value: TemplateValue, call: TemplateCall): TemplateValue;
  test(name: string, value: TemplateValue, call: TemplateCall): boolean;
}

/** Changes a value: what stands behind `|`. */
export type Filter = (
  value: TemplateValue,
  call: TemplateCall,
  tools: FilterTools,
) => TemplateValue;

function onText(change: (text: string) => TemplateValue): Filter {
  return (value, call) => {
    bind("", call, "");
    return change(strOf(value));
  };
}

function tojson(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [ascii = false, indent = null, separators = null, sorted = false] = bind(
    "tojson",
    call,
    "ensure_ascii? indent? separators? sort_keys?",
  );
  const spaces = indent === null
    ? undefined
    : typeof indent === "string"
    ? indent
    : " ".repeat(Math.min(1000, Math.max(0, toIndex(indent, "indent"))));
  const [item, key] = separators === null
    ? [spaces === undefined ? ", " : ",", ": "]
    : separatorsOf(separators);
  return jsonOf(value, {
    indent: spaces,
    separators: [item!, key!],
    ascii: isTrue(ascii),
    sorted: isTrue(sorted),
  });
}

function separatorsOf(value: TemplateValue): readonly string[] {
  const items = value instanceof Tuple ? value.items : Array.isArray(value) ? value : [];
  if (items.length === 2) return items.map((each) => textArgument("tojson", each));
  throw new TemplateError("tojson() takes two separators");
}

function indented(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [width = 4n, first = false, blank = false] = bind("indent", call, "width? first? blank?");
  const space = typeof width === "string"
    ? width
    : " ".repeat(Math.min(1000, Math.max(0, toIndex(width, "width"))));
  const lines = splitLines(`${strOf(value)}\n`);
  checkSize(lines.length * (space.length + 1) + strOf(value).length);
  const [begin = "", ...rest] = lines;
  const set = (line: string) => isTrue(blank) || line !== "" ? space + line : line;
  return [isTrue(first) ? space + begin : begin, ...rest.map(set)].join("\n");
}

function toInteger(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [otherwise = 0n, base = 10n] = bind("int", call, "default? base?");
  if (typeof value === "number") {
    return Number.isFinite(value) ? BigInt(Math.trunc(value)) : otherwise;
  }
  const number = numberOf(value);
  if (number !== undefined) return number;
  if (typeof value !== "string") return otherwise;
  const text = strip(value, null, "both");
  if (base === 10n && /^[+-]?\d+(?:_\d+)*$/.test(text)) {
    checkSize(text.length);
    if (text.length > 4300) return otherwise;
    return BigInt(text.replaceAll(/[_+]/g, ""));
  }
  const places = toIndex(base, "base");
  if (places !== 10) {
    const digits = text.toLowerCase().replace(/^0[xob]/, "");
    const found = parseInt(digits, places);
    return Number.isNaN(found) || found.toString(places) !== digits.replace(/^0+(?=.)/, "")
      ? otherwise
      : BigInt(found);
  }
  const float = floatOf(text);
  return float === undefined || !Number.isFinite(float) ? otherwise : BigInt(Math.trunc(float));
}

function floatOf(text: string): number | undefined {
  if (/^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) {
    return Number(text.replaceAll("_", ""));
  }
  const named = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(text);
  if (!named) return undefined;
  return /nan/i.test(named[2]!) ? NaN : named[1] === "-" ? -Infinity : Infinity;
}

function rounded(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [precision = 0n, method = "common"] = bind("round", call, "precision? method?");
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`'${typeName(value)}' cannot be rounded`);
  const places = Math.min(300, toIndex(precision, "precision"));
  if (method === "common" && typeof number === "bigint" && places >= 0) return number;
  const scale = 10 ** places;
  const x = Number(number);
  if (method === "ceil") return Math.ceil(x * scale) / scale;
  if (method === "floor") return Math.floor(x * scale) / scale;
  if (method !== "common") throw new TemplateError("method must be common, ceil or floor");
  return roundHalfEven(x, places);
}

/** Rounds by the number's exact value; what lies in the middle goes to the even digit. */
function roundHalfEven(x: number, places: number): number {
  if (places > 15 || !Number.isFinite(x)) return x;
  if (places < 0) return Math.round(x / 10 ** -places) * 10 ** -places;
  const down = Math.floor(x);
  if (places === 0) {
    return x - down === 0.5 ? (down % 2 === 0 ? down : down + 1) : Math.round(x);
  }
  return Number(x.toFixed(places));
}

function truncated(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [length = 255n, kill = false, end = "...", leeway = 5n] = bind(
    "truncate",
    call,
    "length? killwords? end? leeway?",
  );
  const text = strOf(value);
  const size = toIndex(length, "length");
  const mark = textArgument("truncate", end);
  if (lengthOf(text) <= size + toIndex(leeway, "leeway")) return text;
  const cut = Array.from(text).slice(0, Math.max(0, size - lengthOf(mark))).join("");
  if (isTrue(kill)) return cut + mark;
  const at = cut.lastIndexOf(" ");
  return (at < 0 ? cut : cut.slice(0, at)) + mark;
}

/** Jinja's `title`: what follows spaces, hyphens and brackets is large. */
function titleWords(text: string): string {
  return text.split(/([-\s({[<]+)/u).map((part) => {
    const [first = "", ...rest] = Array.from(part);
    return first.toUpperCase() + rest.join("").toLowerCase();
  }).join("");
}

const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  capitalize: onText(capitalized),
  center: (value, call) => {
    const [width = 80n] = bind("center", call, "width?");
    const text = strOf(value);
    const size = toIndex(width, "width");
    checkSize(size);
    const room = Math.max(0, size - lengthOf(text));
    const left = Math.floor(room / 2) + (room % 2 && size % 2 ? 1 : 0);
    return " ".repeat(left) + text + " ".repeat(room - left);
  },
  format: (value, { args, named }) =>
    formatted(
      strOf(value),
      named.size > 0 ? new Map<TemplateValue, TemplateValue>(named) : new Tuple(args),
    ),
  indent: indented,
  lower: onText((text) => text.toLowerCase()),
  replace: (value, call) => {
    const [from, to, count = null] = bind("replace", call, "old new count?");
    const times = count === null ? -1 : toIndex(count, "count");
    return replaced(strOf(value), strOf(from!), strOf(to!), times);
  },
  string: onText((text) => text),
  title: onText(titleWords),
  trim: (value, call) => {
    const [characters = null] = bind("trim", call, "chars?");
    return strip(
      strOf(value),
      characters === null ? null : textArgument("trim", characters),
      "both",
    );
  },
  truncate: truncated,
  upper: onText((text) => text.toUpperCase()),
  wordcount: onText((text) => BigInt(text.match(/[\p{L}\p{N}_\p{M}]+/gu)?.length ?? 0)),
};

const VALUE_FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    const number = numberOf(value);
    if (number === undefined) {
      throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    }
    return number < 0 ? -number : number;
  },
  attr: (value, call) => {
    const name = textArgument("attr", bind("attr", call, "name")[0]);
    // Members of the object alone, not what a dict holds.
    return value instanceof Map && !["get", "items", "keys", "values"].includes(name)
      ? new Undefined(`'dict object' has no attribute '${name}'`)
      : memberOf(value, name);
  },
  default: (value, call) => {
    const [otherwise = "", boolean = false] = bind("default", call, "default_value? boolean?");
    const lacks = value instanceof Undefined || (isTrue(boolean) && !isTrue(value));
    return lacks ? otherwise : value;
  },
  float: (value, call) => {
    const [otherwise = 0] = bind("float", call, "default?");
    const number = numberOf(value);
    if (number !== undefined) return Number(number);
    return typeof value === "string" ? floatOf(strip(value, null, "both")) ?? otherwise : otherwise;
  },
  int: toInteger,
  round: rounded,
  tojson,
};

/** Filters of Jinja that chat templates use, by their names, with `tojson` as transformers has it. */
export const FILTERS: Readonly<Record<string, Filter>> = {
  ...TEXT_FILTERS,
  ...VALUE_FILTERS,
  d: VALUE_FILTERS.default!,
  ...LIST_FILTERS,
};
