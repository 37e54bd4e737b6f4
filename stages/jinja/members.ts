import { bind } from "./arguments.ts";
import { formatFields } from "./field_format.ts";
import { STRING_METHODS } from "./string_methods.ts";
import { TemplateError } from "./template_error.ts";
import { equal } from "./operators.ts";
import {
  Callable,
  Namespace,
  NumberRange,
  sequenceOf,
  type TemplateCall,
  type TemplateValue,
  toIndex,
  toKey,
  Tuple,
  typeName,
  Undefined,
  View,
} from "./values.ts";

/** Methods that change a list or a dict, which the sandbox of chat templates forbids. */
const CHANGING = [
  ..."append clear extend insert pop remove reverse sort".split(" "),
  ..."popitem setdefault update".split(" "),
];

const DICT_METHODS: Readonly<
  Record<string, (dict: Map<TemplateValue, TemplateValue>, call: TemplateCall) => TemplateValue>
> = {
  get: (dict, call) => {
    const [key, otherwise = null] = bind("get", call, "key default?");
    return dict.get(toKey(key!)) ?? otherwise;
  },
  keys: (dict) => new View("dict_keys", [...dict.keys()]),
  values: (dict) => new View("dict_values", [...dict.values()]),
  items: (dict) => new View("dict_items", [...dict].map((entry) => new Tuple(entry))),
  copy: (dict) => new Map(dict),
};

const LIST_METHODS: Readonly<
  Record<string, (items: readonly TemplateValue[], call: TemplateCall) => TemplateValue>
> = {
  count: (items, call) => {
    const [value] = bind("count", call, "value");
    return BigInt(items.filter((each) => equal(each, value!)).length);
  },
  index: (items, call) => {
    const [value] = bind("index", call, "value");
    const at = items.findIndex((each) => equal(each, value!));
    if (at < 0) throw new TemplateError("the list has no such value");
    return BigInt(at);
  },
};

/** `value.name`: a member of the object, else what it holds under the name. */
export function memberOf(value: TemplateValue, name: string): TemplateValue {
  return attribute(value, name) ?? held(value, name) ?? missing(value, name);
}

/** `value[key]`: what it holds there, else the member of that name. */
export function subscript(value: TemplateValue, key: TemplateValue): TemplateValue {
  return held(value, key) ?? (typeof key === "string" ? attribute(value, key) : undefined) ??
    missing(value, key);
}

function missing(value: TemplateValue, key: TemplateValue): TemplateValue {
  if (value instanceof Undefined) value.fail();
  const name = typeof key === "string" ? key : String(key);
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}'`);
}

function held(value: TemplateValue, key: TemplateValue): TemplateValue | undefined {
  if (value instanceof Map) {
    return typeof key === "object" && key !== null ? undefined : value.get(toKey(key));
  }
  const items = sequenceOf(value);
  if (!items || (typeof key !== "bigint" && typeof key !== "boolean")) return undefined;
  const at = toIndex(key, "an index");
  return items[at < 0 ? items.length + at : at];
}

function attribute(value: TemplateValue, name: string): TemplateValue | undefined {
  // Python keeps its own names from templates in a sandbox.
  if (name.startsWith("_")) return undefined;
  const method = <T>(
    methods: Readonly<Record<string, (of: T, call: TemplateCall) => TemplateValue>>,
    of: T,
  ) =>
    Object.hasOwn(methods, name)
      ? new Callable(`method ${name}`, (call) => methods[name]!(of, call))
      : undefined;
  if (typeof value === "string") {
    return name === "format"
      ? new Callable("method format", (call) => formatFields(value, call, follow))
      : method(STRING_METHODS, value);
  }
  if (value instanceof Namespace) return value.members.get(name);
  if (value instanceof Callable) return value.member?.(name);
  const changes = Array.isArray(value) || value instanceof Map;
  if (changes && CHANGING.includes(name) && (Array.isArray(value) || name !== "reverse")) {
    return new Callable(`method ${name}`, () => {
      throw new TemplateError(`${name} changes a ${typeName(value)}, which templates may not do`);
    });
  }
  if (value instanceof Map) return method(DICT_METHODS, value);
  if (Array.isArray(value)) {
    return name === "copy"
      ? new Callable("method copy", () => [...value])
      : method(LIST_METHODS, value);
  }
  if (value instanceof Tuple) {
    return value.items[value.names.indexOf(name)] ?? method(LIST_METHODS, value.items);
  }
  if (value instanceof NumberRange) return method(LIST_METHODS, value.items);
  return undefined;
}

/** Refuses a name that transformers keeps from namespaces. */
export function checkMember(name: string): void {
  if (!name.startsWith("_")) return;
  throw new TemplateError(`a namespace may not have the name '${name}', which begins with _`);
}

/** What a field of a format asks of a value. */
function follow(value: TemplateValue, member: string | undefined, key: string): TemplateValue {
  if (member !== undefined) return memberOf(value, member);
  return subscript(value, /^\d+$/.test(key) ? BigInt(key) : key);
}

/** `value[start:stop:step]`. */
export function slice(
  value: TemplateValue,
  bounds: readonly (TemplateValue | undefined)[],
): TemplateValue {
  if (value instanceof Undefined) value.fail();
  const items = sequenceOf(value);
  if (!items) throw new TemplateError(`'${typeName(value)}' object is not subscriptable`);
  const [start, stop, step] = bounds.map((bound) =>
    bound === undefined || bound === null ? undefined : toIndex(bound, "a bound of a slice")
  );
  const by = step ?? 1;
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const clamp = (at: number | undefined, otherwise: number) => {
    if (at === undefined) return otherwise;
    const from = at < 0 ? at + items.length : at;
    return Math.min(Math.max(from, by < 0 ? -1 : 0), by < 0 ? items.length - 1 : items.length);
  };
  const from = clamp(start, by < 0 ? items.length - 1 : 0);
  const to = clamp(stop, by < 0 ? -1 : items.length);
  const taken: TemplateValue[] = [];
  for (let at = from; by < 0 ? at > to : at < to; at += by) taken.push(items[at]!);
  if (typeof value === "string") return taken.join("");
  return value instanceof Tuple ? new Tuple(taken) : taken;
}
