import type { Budget } from "./budget.ts";
import { TemplateError } from "./template_error.ts";

/**
 * A value of a template, as Python would have it: whole numbers are bigints and others numbers, texts
 * are sequences of code points.
 */
export type TemplateValue =
  | string
  | bigint
  | number
  | boolean
  | null
  | TemplateValue[]
  | Map<TemplateValue, TemplateValue>
  | Tuple
  | Undefined
  | Namespace
  | Lazy
  | View
  | NumberRange
  | Callable;

/** What a name or a member stands for that is not there. */
export class Undefined {
  constructor(readonly why: string) {}

  fail(): never {
    throw new TemplateError(this.why);
  }
}

/** A list that stays as it is. */
export class Tuple {
  constructor(
    readonly items: readonly TemplateValue[],
    /** What its places are called, where they have names. */
    readonly names: readonly string[] = [],
  ) {}
}

/** What `namespace()` makes: the one thing whose members a template may set. */
export class Namespace {
  readonly members = new Map<string, TemplateValue>();
}

/** What some filters give: values one after another, once. */
export class Lazy {
  constructor(readonly values: Iterator<TemplateValue>, readonly name = "generator") {}
}

/** The keys, values or items of a dict. */
export class View {
  constructor(readonly name: string, readonly items: readonly TemplateValue[]) {}
}

/** Whole numbers in steps. */
export class NumberRange {
  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly step: bigint,
    readonly items: readonly bigint[],
  ) {}
}

/** What a call hands over. */
export interface TemplateCall {
  readonly args: readonly TemplateValue[];
  readonly named: ReadonlyMap<string, TemplateValue>;
}

/** A function, a method or a macro. */
export class Callable {
  constructor(
    readonly name: string,
    readonly run: (call: TemplateCall) => TemplateValue,
    /** What can be asked of it as of an object, such as the `index` of `loop`. */
    readonly member?: (name: string) => TemplateValue | undefined,
  ) {}
}

/** How Python calls the type of a value. */
export function typeName(value: TemplateValue): string {
  if (value === null) return "NoneType";
  if (typeof value === "string") return "str";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "boolean") return "bool";
  if (Array.isArray(value)) return "list";
  if (value instanceof Map) return "dict";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof View || value instanceof Lazy) return value.name;
  return value.constructor.name;
}

/** Makes a value of plain data, such as parsed JSON. */
export function toValue(data: unknown): TemplateValue {
  if (data === undefined || data === null) return null;
  if (typeof data === "string") return data.toWellFormed();
  if (typeof data === "number") return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (typeof data === "boolean" || typeof data === "bigint") return data;
  if (data instanceof Callable) return data;
  if (Array.isArray(data)) return data.map(toValue);
  return new Map(
    Object.entries(data as object).map(([key, value]) => [key.toWellFormed(), toValue(value)]),
  );
}

/** Whether Python takes a value for true. */
export function isTrue(value: TemplateValue): boolean {
  if (typeof value === "bigint") return value !== 0n;
  if (value === null || typeof value !== "object") return Boolean(value);
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple || value instanceof View || value instanceof NumberRange) {
    return value.items.length > 0;
  }
  return !(value instanceof Undefined);
}

/** The values of what can be gone through, one after another. */
export function* iterate(value: TemplateValue, budget?: Budget): Generator<TemplateValue> {
  for (const each of source(value)) {
    budget?.step();
    yield each;
  }
}

function source(value: TemplateValue): Iterable<TemplateValue> {
  if (typeof value === "string" || Array.isArray(value)) return value;
  if (value instanceof Map) return value.keys();
  if (value instanceof Tuple || value instanceof View || value instanceof NumberRange) {
    return value.items;
  }
  if (value instanceof Lazy) return { [Symbol.iterator]: () => value.values };
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** The values of a list, tuple, view, range or text; undefined for what has no places. */
export function sequenceOf(value: TemplateValue): readonly TemplateValue[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof NumberRange) return value.items;
  return typeof value === "string" ? Array.from(value) : undefined;
}

/** How many values there are in what has a length. */
export function countOf(value: TemplateValue): bigint {
  if (value instanceof Map) return BigInt(value.size);
  if (value instanceof View) return BigInt(value.items.length);
  if (value instanceof Undefined) return 0n;
  const items = sequenceOf(value);
  if (items) return BigInt(items.length);
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** A whole number as an index; throws for anything else. */
export function toIndex(value: TemplateValue, what: string): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint") {
    return Number(value < -(2n ** 40n) ? -(2n ** 40n) : value > 2n ** 40n ? 2n ** 40n : value);
  }
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(`${what} is '${typeName(value)}', expected a whole number`);
}

/** A number's value, truth values included; undefined for what is none. */
export function numberOf(value: TemplateValue): bigint | number | undefined {
  if (typeof value === "boolean") return value ? 1n : 0n;
  return typeof value === "bigint" || typeof value === "number" ? value : undefined;
}

/** A key under which a dict finds a value; equal numbers are one key. */
export function toKey(value: TemplateValue): TemplateValue {
  if (value === null || typeof value === "string" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  throw new TemplateError(`a key is '${typeName(value)}', expected a text or a number`);
}
