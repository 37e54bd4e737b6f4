import { bind, textArgument } from "./arguments.ts";
import { checkSize } from "./budget.ts";
import { subscript } from "./members.ts";
import { equal, operate, order } from "./operators.ts";
import { TemplateError } from "./template_error.ts";
import { strOf } from "./python_text.ts";
import {
  countOf,
  isTrue,
  iterate,
  Lazy,
  sequenceOf,
  type TemplateCall,
  type TemplateValue,
  toIndex,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** See `FilterTools`. */
interface Tools {
  filter(name: string, value: TemplateValue, call: TemplateCall): TemplateValue;
  test(name: string, value: TemplateValue, call: TemplateCall): boolean;
}
type ListFilter = (value: TemplateValue, call: TemplateCall, tools: Tools) => TemplateValue;

/** What a dotted name leads to in a value; parts that are numbers are places. */
function path(
  name: TemplateValue | undefined,
  otherwise?: TemplateValue,
): (value: TemplateValue) => TemplateValue {
  const parts: TemplateValue[] = typeof name === "string"
    ? name.split(".").map((part) => /^\d+$/.test(part) ? BigInt(part) : part)
    : name === undefined || name === null
    ? []
    : [name];
  return (value) => {
    const found = parts.reduce((each, part) => subscript(each, part), value);
    return found instanceof Undefined && otherwise !== undefined ? otherwise : found;
  };
}

/** Texts without regard to case, unless that counts. */
function foldCase(caseSensitive: TemplateValue): (value: TemplateValue) => TemplateValue {
  return (value) =>
    typeof value === "string" && !isTrue(caseSensitive) ? value.toLowerCase() : value;
}

function sorted(
  items: readonly TemplateValue[],
  key: (value: TemplateValue) => TemplateValue,
  reverse: TemplateValue,
): TemplateValue[] {
  const keyed = items.map((value) => ({ value, key: key(value) }));
  const turn = isTrue(reverse) ? -1 : 1;
  return keyed.sort((a, b) => turn * order(a.key, b.key)).map(({ value }) => value);
}

function choosing(name: string, by: "value" | "attribute", wanted: boolean): ListFilter {
  return (value, { args, named }, tools) => {
    if (by === "attribute" && args.length === 0) {
      throw new TemplateError(`${name}() lacks an attribute`);
    }
    const look = by === "attribute" ? path(args[0]) : (each: TemplateValue) => each;
    const [test, ...rest] = by === "attribute" ? args.slice(1) : args;
    const passes = (each: TemplateValue) =>
      test === undefined
        ? isTrue(look(each))
        : tools.test(textArgument(name, test), look(each), { args: rest, named });
    return new Lazy(iterate(value).filter((each) => passes(each) === wanted));
  };
}

function extreme(name: string, sign: 1 | -1): ListFilter {
  return (value, call) => {
    const [caseSensitive = false, attribute] = bind(name, call, "case_sensitive? attribute?");
    const fold = foldCase(caseSensitive);
    const key = (each: TemplateValue) => fold(path(attribute)(each));
    const items = [...iterate(value)];
    if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
    return items.reduce((best, each) => sign * order(key(each), key(best)) > 0 ? each : best);
  };
}

function map(value: TemplateValue, { args, named }: TemplateCall, tools: Tools): TemplateValue {
  const [name, ...rest] = args;
  if (name === undefined && named.has("attribute")) {
    const look = path(named.get("attribute"), named.get("default"));
    return new Lazy(iterate(value).map(look));
  }
  if (name === undefined) throw new TemplateError("map requires a filter argument");
  const filter = textArgument("map", name);
  return new Lazy(iterate(value).map((each) => tools.filter(filter, each, { args: rest, named })));
}

function* batches(
  value: TemplateValue,
  size: number,
  fill: TemplateValue | undefined,
): Generator<TemplateValue> {
  let batch: TemplateValue[] = [];
  for (const each of iterate(value)) {
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
    batch.push(each);
  }
  if (batch.length === 0) return;
  while (fill !== undefined && fill !== null && batch.length < size) batch.push(fill);
  yield batch;
}

function* slices(
  items: readonly TemplateValue[],
  count: number,
  fill: TemplateValue | undefined,
): Generator<TemplateValue> {
  const size = Math.floor(items.length / count);
  const extra = items.length % count;
  for (let at = 0, from = 0; at < count; at++) {
    const to = from + size + (at < extra ? 1 : 0);
    const part = items.slice(from, to);
    if (fill !== undefined && fill !== null && at >= extra) part.push(fill);
    yield part;
    from = to;
  }
}

function* unique(
  value: TemplateValue,
  key: (value: TemplateValue) => TemplateValue,
): Generator<TemplateValue> {
  const seen: TemplateValue[] = [];
  for (const each of iterate(value)) {
    const own = key(each);
    if (seen.some((other) => equal(own, other))) continue;
    seen.push(own);
    yield each;
  }
}

function grouped(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [attribute, otherwise, caseSensitive = false] = bind(
    "groupby",
    call,
    "attribute default? case_sensitive?",
  );
  const look = path(attribute, otherwise);
  const fold = foldCase(caseSensitive);
  const groups: {
    readonly key: TemplateValue;
    readonly name: TemplateValue;
    readonly items: TemplateValue[];
  }[] = [];
  for (const each of sorted([...iterate(value)], (each) => fold(look(each)), false)) {
    const key = fold(look(each));
    const last = groups.at(-1);
    if (last && equal(last.key, key)) last.items.push(each);
    else groups.push({ key, name: look(each), items: [each] });
  }
  return groups.map(({ name, items }) => new Tuple([name, items], ["grouper", "list"]));
}

function dictsort(value: TemplateValue, call: TemplateCall): TemplateValue {
  const [caseSensitive = false, by = "key", reverse = false] = bind(
    "dictsort",
    call,
    "case_sensitive? by? reverse?",
  );
  if (!(value instanceof Map)) throw new TemplateError(`'${typeName(value)}' object has no items`);
  if (by !== "key" && by !== "value") throw new TemplateError("dictsort goes by key or value");
  const fold = foldCase(caseSensitive);
  const entries = [...value].map((entry): TemplateValue => new Tuple(entry));
  const key = (entry: TemplateValue) => fold((entry as Tuple).items[by === "key" ? 0 : 1]!);
  return sorted(entries, key, reverse);
}

/** Filters of lists, and of what else can be gone through. */
export const LIST_FILTERS: Readonly<Record<string, ListFilter>> = {
  batch: (value, call) => {
    const [count, fill] = bind("batch", call, "linecount fill_with?");
    return new Lazy(batches(value, toIndex(count!, "linecount"), fill));
  },
  count: countOf,
  dictsort,
  first: (value) => {
    for (const each of iterate(value)) return each;
    return new Undefined("No first item, sequence was empty.");
  },
  groupby: grouped,
  items: (value) => {
    if (value instanceof Undefined) return new Lazy([].values());
    if (!(value instanceof Map)) throw new TemplateError("Can only get item pairs from a mapping.");
    return new Lazy([...value].map((entry): TemplateValue => new Tuple(entry)).values());
  },
  join: (value, call) => {
    const [separator = "", attribute] = bind("join", call, "d? attribute?");
    const look = path(attribute);
    const parts = [...iterate(value)].map((each) => strOf(look(each)));
    const between = strOf(separator);
    checkSize(parts.reduce((sum, { length }) => sum + length + between.length, 0));
    return parts.join(between);
  },
  last: (value) => {
    const items = value instanceof Map ? [...value.keys()] : sequenceOf(value);
    if (!items && !(value instanceof Undefined)) {
      throw new TemplateError(`'${typeName(value)}' object is not reversible`);
    }
    return items?.at(-1) ?? new Undefined("No last item, sequence was empty.");
  },
  length: countOf,
  list: (value) => [...iterate(value)],
  map,
  max: extreme("max", 1),
  min: extreme("min", -1),
  reject: choosing("reject", "value", false),
  rejectattr: choosing("rejectattr", "attribute", false),
  reverse: (value) => {
    if (typeof value === "string") return Array.from(value).reverse().join("");
    return new Lazy([...iterate(value)].reverse().values(), "list_reverseiterator");
  },
  select: choosing("select", "value", true),
  selectattr: choosing("selectattr", "attribute", true),
  slice: (value, call) => {
    const [count, fill] = bind("slice", call, "slices fill_with?");
    const parts = toIndex(count!, "slices");
    if (parts < 1) throw new TemplateError("a list is sliced into no parts");
    return new Lazy(slices([...iterate(value)], parts, fill));
  },
  sort: (value, call) => {
    const [reverse = false, caseSensitive = false, attribute] = bind(
      "sort",
      call,
      "reverse? case_sensitive? attribute?",
    );
    const fold = foldCase(caseSensitive);
    const looks = typeof attribute === "string"
      ? attribute.split(",").map((each) => path(each))
      : [path(attribute)];
    const key = (each: TemplateValue): TemplateValue => {
      const keys = looks.map((look) => fold(look(each)));
      return keys.length === 1 ? keys[0]! : keys;
    };
    return sorted([...iterate(value)], key, reverse);
  },
  sum: (value, call) => {
    const [attribute, start = 0n] = bind("sum", call, "attribute? start?");
    const look = path(attribute);
    return iterate(value).reduce((sum, each) => operate("+", sum, look(each)), start);
  },
  unique: (value, call) => {
    const [caseSensitive = false, attribute] = bind("unique", call, "case_sensitive? attribute?");
    const [fold, look] = [foldCase(caseSensitive), path(attribute)];
    return new Lazy(unique(value, (each) => fold(look(each))));
  },
};
