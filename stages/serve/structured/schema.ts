import { fieldError } from "../api_error.ts";
import { integerRule, MOST, numberRule, PLACES } from "./number_rules.ts";
import { PatternError, patternRule } from "./pattern.ts";
import { schemaRules } from "./rules.ts";
import { STRING_FORMATS } from "./formats.ts";

/** A JSON Schema as it comes: an object, or true for anything. */
type Schema = Readonly<Record<string, unknown>>;

/** Levels and schemas that one may have. */
const [MOST_LEVELS, MOST_SCHEMAS] = [64, 2048];

/** Keywords that say nothing of what is valid. */
const NOTES = new Set([
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "strict",
  "contentMediaType",
  "contentEncoding",
]);

/** Keywords by the type they are about. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

/** The distance to an exclusive bound of numbers. */
const STEP = 10 ** -PLACES;

/**
 * Writes a JSON Schema (draft 2020-12, with what older ones call otherwise) as a grammar, so that every
 * answer is valid by the schema as it came.
 *
 * What an answer may be can become less by it: objects with `properties` have no others, and patterns
 * match whole strings. What cannot be held to is refused by its path rather than left out without a word.
 */
export function schemaGrammar(schema: unknown, field: string): string {
  return schemaRules(new SchemaReader(schema, field).whole());
}

class SchemaReader {
  readonly #root: unknown;
  readonly #field: string;
  /** Names of definitions by the pointers that lead to them. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Record<string, unknown> = {};
  #count = 0;

  constructor(root: unknown, field: string) {
    this.#root = root;
    this.#field = field;
  }

  whole(): Schema {
    const schema = this.#read(this.#root, this.#field, 0);
    return { ...schema, ...this.#names.size > 0 && { $defs: this.#definitions } };
  }

  #read(given: unknown, path: string, level: number): Schema {
    if (level > MOST_LEVELS || ++this.#count > MOST_SCHEMAS) {
      this.#refuse(
        path,
        "is too deep or has too many parts",
        `at most ${MOST_LEVELS} levels and ${MOST_SCHEMAS} schemas`,
      );
    }
    if (given === true) return {};
    if (given === false) this.#refuse(path, "is false, which nothing satisfies", "an object");
    const schema = this.#object(given, path);
    for (const key of Object.keys(schema)) {
      if (KNOWN.has(key) || NOTES.has(key) || key.startsWith("x-")) continue;
      this.#refuse(`${path}.${key}`, "is a keyword that answers cannot be held to", "it left out");
    }
    const next = level + 1;
    if ("$ref" in schema) return this.#reference(schema, path, next);
    if ("allOf" in schema) return this.#all(schema, path, next);
    if ("anyOf" in schema || "oneOf" in schema) return this.#any(schema, path, next);
    if ("const" in schema || "enum" in schema) return this.#values(schema, path);
    const types = this.#types(schema, path);
    if (types.length === 0) return {};
    for (const key of Object.keys(schema)) {
      if (NOTES.has(key) || key === "type" || key.startsWith("x-")) continue;
      if (types.some((type) => OWN[type]!.includes(key))) continue;
      // It is about values of another type, which there cannot be.
      if (ABOUT.has(key)) continue;
      this.#refuse(`${path}.${key}`, "cannot stand there", "it left out");
    }
    const each = types.map((type) => this.#typed(type, schema, path, next));
    return each.length === 1 ? each[0]! : { anyOf: each };
  }

  #typed(type: string, schema: Schema, path: string, level: number): Schema {
    switch (type) {
      case "object":
        return this.#objects(schema, path, level);
      case "array":
        return this.#arrays(schema, path, level);
      case "string":
        return this.#strings(schema, path);
      case "number":
      case "integer":
        return this.#numbers(type, schema, path);
      default:
        return { type };
    }
  }

  #types(schema: Schema, path: string): string[] {
    const { type } = schema;
    if (type === undefined) {
      const found = Object.keys(OWN).filter((each) => OWN[each]!.some((key) => key in schema));
      // Bounds are about numbers of both kinds.
      return found.filter((each) => each !== "integer");
    }
    const types = Array.isArray(type) ? type : [type];
    for (const each of types) {
      if (typeof each === "string" && Object.hasOwn(OWN, each)) continue;
      this.#refuse(`${path}.type`, `is ${JSON.stringify(each)}`, Object.keys(OWN).join(", "));
    }
    if (types.length === 0) this.#refuse(`${path}.type`, "is empty", "a type");
    return types as string[];
  }

  #objects(schema: Schema, path: string, level: number): Schema {
    const properties = this.#object(schema["properties"] ?? {}, `${path}.properties`);
    const required = schema["required"] ?? [];
    if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
      this.#refuse(`${path}.required`, "is something else", "a list of names");
    }
    const others = schema["additionalProperties"] ?? schema["unevaluatedProperties"] ?? true;
    const names = Object.keys(properties);
    const missing = (required as string[]).filter((name) => !names.includes(name));
    if (missing.length > 0 && others === false) {
      this.#refuse(
        `${path}.required`,
        `has "${missing[0]}", which is no property`,
        "names of properties",
      );
    }
    const read = Object.fromEntries([
      ...names.map((
        name,
      ) => [name, this.#read(properties[name], `${path}.properties.${name}`, level)]),
      ...missing.map((name) => [name, this.#read(others, `${path}.additionalProperties`, level)]),
    ]) as Record<string, Schema>;
    const [least, most] = ["minProperties", "maxProperties"].map((key) =>
      this.#whole(schema, key, path)
    );
    if (least !== undefined && least > (required as string[]).length) {
      this.#refuse(`${path}.minProperties`, `is ${least}`, "at most as many as are required");
    }
    const free = Object.keys(read).length === 0 && others !== false;
    if (most !== undefined && (free || most < Object.keys(read).length)) {
      this.#refuse(
        `${path}.maxProperties`,
        `is ${most}`,
        "at least as many as there are properties",
      );
    }
    return {
      type: "object",
      properties: read,
      required: [...new Set(required as string[])],
      // A name that is said twice would escape its own schema, so there are no others beside named ones.
      additionalProperties: free
        ? this.#read(others, `${path}.additionalProperties`, level)
        : false,
    };
  }

  #arrays(schema: Schema, path: string, level: number): Schema {
    const old = Array.isArray(schema["items"]);
    const first = old ? schema["items"] : schema["prefixItems"];
    const rest = (old ? schema["additionalItems"] : schema["items"]) ?? true;
    if (first !== undefined && !Array.isArray(first)) {
      this.#refuse(`${path}.prefixItems`, "is something else", "a list of schemas");
    }
    if (schema["uniqueItems"] === true) {
      this.#refuse(
        `${path}.uniqueItems`,
        "is a keyword that answers cannot be held to",
        "it left out",
      );
    }
    const [least, most] = ["minItems", "maxItems"].map((key) => this.#whole(schema, key, path));
    if (least !== undefined && most !== undefined && least > most) {
      this.#refuse(`${path}.minItems`, `is ${least}, more than maxItems`, `at most ${most}`);
    }
    const prefix = (first as unknown[] | undefined ?? []).slice(0, most ?? Infinity);
    if (rest === false && least !== undefined && least > prefix.length) {
      this.#refuse(`${path}.minItems`, `is ${least}`, `at most ${prefix.length} items`);
    }
    return {
      type: "array",
      ...prefix.length > 0 && {
        prefixItems: prefix.map((item, at) =>
          this.#read(item, `${path}.prefixItems[${at}]`, level)
        ),
      },
      items: rest === false ? false : this.#read(rest, `${path}.items`, level),
      ...least !== undefined && { minItems: least },
      ...most !== undefined && { maxItems: most },
    };
  }

  #strings(schema: Schema, path: string): Schema {
    const { pattern, format } = schema;
    const [least, most] = ["minLength", "maxLength"].map((key) => this.#whole(schema, key, path));
    const said = [pattern, format, least ?? most].filter((one) => one !== undefined);
    if (said.length > 1) {
      this.#refuse(path, "has several of pattern, format and lengths", "one of them");
    }
    if (format !== undefined) {
      const known = STRING_FORMATS[String(format)];
      if (known === undefined) {
        this.#refuse(
          `${path}.format`,
          `is ${JSON.stringify(format)}`,
          Object.keys(STRING_FORMATS).join(", "),
        );
      }
      return { type: "string", rule: patternRule(known!, { json: true }) };
    }
    if (pattern !== undefined) return { type: "string", rule: this.#pattern(pattern, path) };
    if (least !== undefined && most !== undefined && least > most) {
      this.#refuse(`${path}.minLength`, `is ${least}, more than maxLength`, `at most ${most}`);
    }
    return {
      type: "string",
      ...least !== undefined && { minLength: least },
      ...most !== undefined && { maxLength: most },
    };
  }

  #pattern(pattern: unknown, path: string): string {
    if (typeof pattern !== "string") this.#refuse(`${path}.pattern`, "is no text", "a pattern");
    try {
      return patternRule(pattern as string, { json: true });
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      return this.#refuse(`${path}.pattern`, `cannot be held to: ${error.message}`, "another");
    }
  }

  #numbers(type: "number" | "integer", schema: Schema, path: string): Schema {
    const bounds = Object.fromEntries(
      OWN[type]!.filter((key) => schema[key] !== undefined).map((key) => {
        const value = schema[key];
        if (typeof value !== "number" || !Number.isFinite(value)) {
          this.#refuse(`${path}.${key}`, "is something else", "a number");
        }
        return [key, value as number];
      }),
    );
    const { multipleOf } = bounds;
    if (multipleOf !== undefined && !(type === "integer" && multipleOf === 1)) {
      this.#refuse(
        `${path}.multipleOf`,
        "is a keyword that answers cannot be held to",
        "it left out",
      );
    }
    const whole = type === "integer";
    const above = (bound: number) => whole ? Math.floor(bound) + 1 : bound + STEP;
    const below = (bound: number) => whole ? Math.ceil(bound) - 1 : bound - STEP;
    const least = largest([
      bounds["minimum"],
      bounds["exclusiveMinimum"] === undefined ? undefined : above(bounds["exclusiveMinimum"]),
    ]);
    const most = largest([
      bounds["maximum"] === undefined ? undefined : -bounds["maximum"],
      bounds["exclusiveMaximum"] === undefined ? undefined : -below(bounds["exclusiveMaximum"]),
    ]);
    const [minimum, maximum] = [
      least === undefined ? undefined : whole ? Math.ceil(least) : least,
      most === undefined ? undefined : whole ? Math.floor(-most) : -most,
    ];
    for (const bound of [minimum, maximum]) {
      if (bound === undefined || Math.abs(bound) <= MOST) continue;
      this.#refuse(path, `has the bound ${bound}`, `at most ${MOST}`);
    }
    if ((type === "integer" ? integerRule : numberRule)(minimum, maximum) === undefined) {
      this.#refuse(path, "has bounds with nothing between", "a minimum below the maximum");
    }
    return {
      type,
      ...minimum !== undefined && { minimum },
      ...maximum !== undefined && { maximum },
    };
  }

  #values(schema: Schema, path: string): Schema {
    this.#alone(schema, ["const", "enum", "type"], path);
    const key = "const" in schema ? "const" : "enum";
    const values = key === "const" ? [schema["const"]] : schema["enum"];
    if (!Array.isArray(values)) this.#refuse(`${path}.enum`, "is no list", "a list of values");
    const types = this.#types(schema, path);
    const fitting = (values as unknown[]).filter((value) =>
      (types.length === 0 || types.some((type) => isOf(type, value))) &&
      (!("enum" in schema) || key === "enum" || includes(schema["enum"], value))
    );
    if (fitting.length === 0) this.#refuse(`${path}.${key}`, "has no value of its type", "one");
    return { enum: fitting };
  }

  #any(schema: Schema, path: string, level: number): Schema {
    const key = "anyOf" in schema ? "anyOf" : "oneOf";
    this.#alone(schema, [key, "type", "discriminator"], path);
    const list = schema[key];
    if (!Array.isArray(list) || list.length === 0) {
      this.#refuse(`${path}.${key}`, "is empty or no list", "a list of schemas");
    }
    const given = list as unknown[];
    const types = this.#types(schema, path);
    const read = given.map((one, at) => {
      const place = `${path}.${key}[${at}]`;
      const made = this.#read(
        types.length > 0 && isObject(one) && !("type" in one) && !("$ref" in one)
          ? { ...one, type: schema["type"] }
          : one,
        place,
        level,
      );
      const kinds = this.#kinds(made);
      if (types.length > 0 && !kinds.every((kind) => types.includes(kind))) {
        this.#refuse(place, "has another type than what stands above it", types.join(" or "));
      }
      return made;
    });
    if (key === "oneOf") this.#checkApart(read, `${path}.oneOf`);
    return read.length === 1 ? read[0]! : { anyOf: read };
  }

  /** Of `oneOf` one alone may hold: its schemas must differ in type, or in a property's value. */
  #checkApart(schemas: readonly Schema[], path: string): void {
    schemas.forEach((left, at) => {
      for (const right of schemas.slice(at + 1)) {
        if (!this.#apart(this.#followed(left), this.#followed(right))) {
          this.#refuse(path, "has schemas that a value may satisfy together", "anyOf");
        }
      }
    });
  }

  #apart(left: Schema, right: Schema): boolean {
    if (isObject(left["properties"]) && isObject(right["properties"])) {
      const [first, second] = [left["properties"], right["properties"]] as [Schema, Schema];
      const both = (left["required"] as string[]).filter((name) =>
        (right["required"] as string[]).includes(name)
      );
      const differs = both.some((name) => {
        const [one, other] = [first[name], second[name]] as [Schema, Schema];
        return Array.isArray(one["enum"]) && Array.isArray(other["enum"]) &&
          !one["enum"].some((value) => includes(other["enum"], value));
      });
      // Each has its own properties only, so one that the other lacks tells them apart.
      const lacks = (from: Schema, names: Schema) =>
        (from["required"] as string[]).some((name) => !(name in names));
      if (
        differs || left["additionalProperties"] === false && lacks(right, first) &&
          right["additionalProperties"] === false && lacks(left, second)
      ) return true;
    }
    if (Array.isArray(left["enum"]) && Array.isArray(right["enum"])) {
      return !left["enum"].some((value) => includes(right["enum"], value));
    }
    const [one, other] = [this.#kinds(left), this.#kinds(right)];
    const overlap = (kind: string, with_: string) =>
      kind === with_ || [kind, with_].sort().join() === "integer,number";
    return !one.some((kind) => other.some((each) => overlap(kind, each)));
  }

  /** Types of values that a schema as it was written allows. */
  #kinds(schema: Schema, seen = new Set<string>()): string[] {
    if (typeof schema["$ref"] === "string") {
      if (seen.has(schema["$ref"])) return [];
      seen.add(schema["$ref"]);
      return this.#kinds(this.#followed(schema), seen);
    }
    if (typeof schema["type"] === "string") return [schema["type"]];
    if (Array.isArray(schema["enum"])) {
      return [
        ...new Set(
          schema["enum"].map((value) =>
            Object.keys(OWN).find((type) => type !== "number" && isOf(type, value)) ?? "number"
          ),
        ),
      ];
    }
    if (Array.isArray(schema["anyOf"])) {
      return [...new Set((schema["anyOf"] as Schema[]).flatMap((one) => this.#kinds(one, seen)))];
    }
    return Object.keys(OWN);
  }

  #followed(schema: Schema): Schema {
    const name = typeof schema["$ref"] === "string" ? schema["$ref"].split("/").at(-1)! : undefined;
    return name === undefined ? schema : this.#definitions[name] as Schema ?? {};
  }

  /** One schema of several that must all hold: their properties together. */
  #all(schema: Schema, path: string, level: number): Schema {
    const list = schema["allOf"];
    if (!Array.isArray(list) || list.length === 0) {
      this.#refuse(`${path}.allOf`, "is empty or no list", "a list of schemas");
    }
    const { allOf: _, ...own } = schema;
    const parts = (list as unknown[]).map((one, at) =>
      this.#inlined(one, `${path}.allOf[${at}]`, level)
    );
    const joined: Record<string, unknown> = {};
    for (const part of [...parts, own]) {
      for (const [key, value] of Object.entries(part)) {
        if (NOTES.has(key)) continue;
        const before = joined[key];
        if (before === undefined || same(before, value)) joined[key] = value;
        else if (key === "required") joined[key] = [...before as string[], ...value as string[]];
        else if (key === "properties" && disjoint(before as Schema, value as Schema)) {
          joined[key] = { ...before as Schema, ...value as Schema };
        } else this.#refuse(`${path}.allOf`, `says "${key}" twice`, "schemas that go together");
      }
    }
    const closed = [...parts, own].some((part) => part["additionalProperties"] === false);
    const objects = [...parts, own].filter((part) => "properties" in part);
    if (closed && objects.length > 1) {
      this.#refuse(
        `${path}.allOf`,
        "closes one object and opens another",
        "properties in one place",
      );
    }
    return this.#read(joined, path, level);
  }

  /** A schema with the reference it is, if it is one, followed. */
  #inlined(given: unknown, path: string, level: number): Schema {
    if (level > MOST_LEVELS) this.#refuse(path, "refers to itself", "an end");
    const schema = this.#object(given === true ? {} : given, path);
    if (!("$ref" in schema)) return schema;
    return this.#inlined(this.#target(schema["$ref"], path), path, level + 1);
  }

  #reference(schema: Schema, path: string, level: number): Schema {
    this.#alone(schema, ["$ref"], path);
    const pointer = schema["$ref"];
    let target = this.#target(pointer, path);
    const seen = new Set([pointer]);
    // Of references to references the last counts; a circle of them says nothing.
    while (isObject(target) && "$ref" in target) {
      if (seen.has(target["$ref"])) this.#refuse(`${path}.$ref`, "refers to itself", "a schema");
      seen.add(target["$ref"]);
      target = this.#target(target["$ref"], path);
    }
    const last = String([...seen].at(-1));
    let name = this.#names.get(last);
    if (name === undefined) {
      name = `r${letters(this.#names.size)}`;
      this.#names.set(last, name);
      this.#definitions[name] = this.#read(target, `${this.#field}${pathOf(last)}`, level);
    }
    return { $ref: `#/$defs/${name}` };
  }

  #target(pointer: unknown, path: string): unknown {
    if (typeof pointer !== "string" || !/^#(\/|$)/.test(pointer)) {
      this.#refuse(
        `${path}.$ref`,
        `is ${JSON.stringify(pointer)}`,
        "a place in the same schema, #/...",
      );
    }
    let at = this.#root;
    for (const step of (pointer as string).split("/").slice(1)) {
      const key = plain(step);
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) {
        this.#refuse(`${path}.$ref`, `leads to "${pointer}", which is nowhere`, "a place in it");
      }
      at = (at as Schema)[key];
    }
    return at;
  }

  #alone(schema: Schema, keys: readonly string[], path: string): void {
    for (const key of Object.keys(schema)) {
      if (keys.includes(key) || NOTES.has(key) || key.startsWith("x-")) continue;
      this.#refuse(`${path}.${key}`, `stands beside "${keys[0]}"`, "it within");
    }
  }

  #whole(schema: Schema, key: string, path: string): number | undefined {
    const value = schema[key];
    if (value === undefined) return undefined;
    if (Number.isInteger(value) && value as number >= 0) return value as number;
    return this.#refuse(
      `${path}.${key}`,
      `is ${JSON.stringify(value)}`,
      "a whole number from 0 on",
    );
  }

  #object(value: unknown, path: string): Schema {
    if (isObject(value)) return value;
    return this.#refuse(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "an object");
  }

  #refuse(path: string, is: string, expected: string): never {
    throw fieldError(`Cannot hold answers to "${path}": it ${is}, expected ${expected}`, path);
  }
}

/** Keywords that are about values of one type. */
const ABOUT: ReadonlySet<string> = new Set(Object.values(OWN).flat());

const KNOWN: ReadonlySet<string> = new Set([
  ...ABOUT,
  "type",
  "const",
  "enum",
  "anyOf",
  "oneOf",
  "allOf",
  "$ref",
  "discriminator",
]);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    default:
      return typeof value === "number";
  }
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

function includes(values: unknown, value: unknown): boolean {
  return Array.isArray(values) && values.some((one) => same(one, value));
}

function disjoint(left: Schema, right: Schema): boolean {
  return Object.keys(left).every((key) => !(key in right) || same(left[key], right[key]));
}

function largest(values: readonly (number | undefined)[]): number | undefined {
  const said = values.filter((value) => value !== undefined);
  return said.length === 0 ? undefined : Math.max(...said);
}

/** A step of a JSON pointer (RFC 6901) in a URI. */
function plain(step: string): string {
  let text = step;
  try {
    text = decodeURIComponent(step);
  } catch {
    // It has a percent sign of its own.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}

function pathOf(pointer: string): string {
  return pointer.split("/").slice(1).map((step) => `.${plain(step)}`).join("");
}

/** The library takes letters alone in names of rules. */
function letters(count: number): string {
  return count.toString().replaceAll(/\d/g, (digit) => "abcdefghij"[Number(digit)]!);
}
