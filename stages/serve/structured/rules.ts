import { integerRule, numberRule } from "./number_rules.ts";
import { plainCharacter } from "./pattern.ts";

/** A schema in the words of `SchemaReader`. */
type Schema = Readonly<Record<string, unknown>>;

/** White space between two parts at most: a model may go on with it for ever. */
const SPACE = 20;

/** Rules that all of JSON is made of. */
const JSON_RULES = [
  `space ::= [ \\n\\t]{0,${SPACE}}`,
  'comma ::= space "," space',
  'colon ::= space ":" space',
  `plain ::= ${plainCharacter()}`,
  'escape ::= "\\\\" ("\\"" | "\\\\" | [/bfnrt] | "u" [0-9A-Fa-f]{4})',
  'string ::= "\\"" (plain | escape)* "\\""',
  // As many digits as a double has, so that what it reads as is finite.
  'number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
  'any ::= object | array | string | number | "true" | "false" | "null"',
  'object ::= "{" space (string colon any (comma string colon any)* space)? "}"',
  'array ::= "[" space (any (comma any)* space)? "]"',
];

/** Writes a schema as rules in the EBNF of xgrammar; strings of JSON hold no control characters. */
export function schemaRules(schema: Schema): string {
  const made = [...JSON_RULES];
  for (const [name, each] of Object.entries(schema["$defs"] ?? {})) {
    made.push(`def_${name} ::= ${ruleOf(each as Schema)}`);
  }
  return [`root ::= ${ruleOf(schema)}`, ...made].join("\n");
}

/** A text as it is, in EBNF. */
export function literal(text: string): string {
  const escaped = [...text].map((letter) =>
    /[\w .,:;{}()<>/|=*+?!'-]/.test(letter)
      ? letter
      : `\\U${letter.codePointAt(0)!.toString(16).padStart(8, "0")}`
  );
  return `"${escaped.join("")}"`;
}

/** The JSON of a value, with escapes for what answers do not hold as it is; see `Utf8Masks`. */
function spelt(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u00a0\u2028\u2029\ufeff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function ruleOf(schema: Schema): string {
  const { $ref, anyOf, type } = schema;
  if (typeof $ref === "string") return `def_${$ref.split("/").at(-1)}`;
  if (Array.isArray(anyOf)) return choice(anyOf.map((one: Schema) => ruleOf(one)));
  if (Array.isArray(schema["enum"])) {
    return choice(schema["enum"].map((value) => literal(spelt(value))));
  }
  switch (type) {
    case "object":
      return objectRule(schema);
    case "array":
      return arrayRule(schema);
    case "string":
      return stringRule(schema);
    case "integer":
    case "number":
      return boundedRule(type, schema);
    case "boolean":
      return choice(['"true"', '"false"']);
    case "null":
      return '"null"';
    default:
      return "any";
  }
}

function choice(rules: readonly string[]): string {
  return `(${rules.join(" | ")})`;
}

function stringRule({ rule, minLength, maxLength }: Schema): string {
  if (typeof rule === "string") return `"\\"" ${rule} "\\""`;
  if (minLength === undefined && maxLength === undefined) return "string";
  return `"\\"" plain{${minLength ?? 0},${maxLength ?? ""}} "\\""`;
}

function boundedRule(type: "integer" | "number", { minimum, maximum }: Schema): string {
  if (type === "number" && minimum === undefined && maximum === undefined) return "number";
  const [least, most] = [minimum, maximum] as (number | undefined)[];
  const rule = (type === "integer" ? integerRule : numberRule)(least, most);
  if (rule === undefined) throw new RangeError("No number lies between the bounds");
  return rule;
}

function arrayRule({ prefixItems = [], items, minItems = 0, maxItems }: Schema): string {
  const first = (prefixItems as Schema[]).map(ruleOf);
  const least = minItems as number;
  const most = maxItems === undefined ? Infinity : maxItems as number;
  const rest = items === false ? undefined : ruleOf(items as Schema);
  // Items from one on, as far as there are some, each with what may come behind it.
  const others = (from: number): string => {
    if (!rest || from >= most) return '""';
    const [low, high] = [Math.max(0, least - from), most === Infinity ? "" : most - from];
    return `(comma ${rest}){${low},${high}}`;
  };
  const after = (at: number): string => {
    if (at >= first.length) return others(at);
    const one = `comma ${first[at]} ${after(at + 1)}`;
    return at >= least ? `(${one})?` : one;
  };
  if (most === 0 || (first.length === 0 && !rest)) return '"[" space "]"';
  const all = `${first[0] ?? rest} ${after(1)} space`;
  return `"[" space ${least === 0 ? `(${all})?` : all} "]"`;
}

function objectRule({ properties, required, additionalProperties: others }: Schema): string {
  const all = Object.entries(properties as Record<string, Schema>);
  const must = new Set(required as string[]);
  if (all.length === 0) {
    if (others === false) return '"{" space "}"';
    const rule = `string colon ${ruleOf(others as Schema)}`;
    return `"{" space (${rule} (comma ${rule})* space)? "}"`;
  }
  const rules = all.map(([name, schema]) => `${literal(spelt(name))} colon ${ruleOf(schema)}`);
  // What comes behind the first property that is there; properties come in their order.
  const tails: string[] = [];
  for (let at = all.length - 1; at >= 0; at--) {
    const next = tails[0] ?? "";
    const one = `comma ${rules[at]}`;
    tails.unshift(`${must.has(all[at]![0]) ? one : `(${one})?`} ${next}`.trim());
  }
  const firstMust = all.findIndex(([name]) => must.has(name));
  const firsts = all.slice(0, firstMust < 0 ? all.length : firstMust + 1).map((_, at) =>
    `${rules[at]} ${tails[at + 1] ?? ""} space`.trim()
  );
  return firstMust < 0
    ? `"{" space (${firsts.join(" | ")})? "}"`
    : `"{" space (${firsts.join(" | ")}) "}"`;
}
