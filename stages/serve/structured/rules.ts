import { integerRule, numberRule } from "./number_rules.ts";

/**
 * A JSON Schema in few words: `type` is one, objects have `properties`, `required` and
 * `additionalProperties`, arrays `items`, all bounds are within, a string may have its `rule`, and
 * `$ref` leads to `$defs`.
 */
export type WrittenSchema = Readonly<Record<string, unknown>>;

/** White space between two parts at most: a model may go on with it for ever. */
const SPACE = 20;

/** What stands for itself in a string; beyond ASCII the thread of grammars keeps texts UTF-8. */
const PLAIN = '[^\\x00-\\x1f"\\\\]';

/**
 * Rules that all of JSON is made of. Strings go on by recursion at the right: so a mask takes some
 * microseconds, where a repetition of choices takes a hundred milliseconds.
 */
const JSON_RULES = [
  `space ::= [ \\n\\t]{0,${SPACE}}`,
  'comma ::= space "," space',
  'colon ::= space ":" space',
  'escape ::= ["\\\\/bfnrt] | "u" [0-9A-Fa-f]{4}',
  `rest ::= "\\"" | ${PLAIN} rest | "\\\\" escape rest`,
  'string ::= "\\"" rest',
  // As many digits as a double has, so that what it reads as is finite.
  'number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
  'integer ::= "-"? ("0" | [1-9] [0-9]{0,14})',
  'any ::= object | array | string | number | "true" | "false" | "null"',
  'members ::= "" | comma string colon any members',
  'object ::= "{" space "}" | "{" space string colon any members space "}"',
  'items ::= "" | comma any items',
  'array ::= "[" space "]" | "[" space any items space "]"',
];

/** Writes a schema as rules in the EBNF of xgrammar; strings of JSON hold no control characters. */
export function schemaRules(schema: WrittenSchema): string {
  const writer = new RuleWriter();
  const root = writer.rule(schema);
  const definitions = Object.entries(schema["$defs"] ?? {}).map(([name, each]) =>
    `def_${name} ::= ${writer.rule(each as WrittenSchema)}`
  );
  return [`root ::= ${root}`, ...definitions, ...writer.made, ...JSON_RULES].join("\n");
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

/** Writes rules, each part by a name of its own, so that what stands twice is written once. */
class RuleWriter {
  readonly #names = new Map<string, string>();

  /** The rules that others name. */
  get made(): string[] {
    return [...this.#names].map(([text, name]) => `${name} ::= ${text}`);
  }

  rule(schema: WrittenSchema): string {
    const { $ref, anyOf, type } = schema;
    if (typeof $ref === "string") return `def_${$ref.split("/").at(-1)}`;
    if (Array.isArray(anyOf)) {
      return this.#named(anyOf.map((one: WrittenSchema) => this.rule(one)).join(" | "));
    }
    if (Array.isArray(schema["enum"])) {
      return this.#named(schema["enum"].map((value) => literal(spelt(value))).join(" | "));
    }
    switch (type) {
      case "object":
        return this.#object(schema);
      case "array":
        return this.#array(schema);
      case "string":
        return this.#string(schema);
      case "integer":
      case "number":
        return this.#bounded(type, schema);
      case "boolean":
        return this.#named('"true" | "false"');
      case "null":
        return '"null"';
      default:
        return "any";
    }
  }

  #string({ rule, minLength, maxLength }: WrittenSchema): string {
    if (typeof rule === "string") return this.#named(`"\\"" ${rule} "\\""`);
    if (minLength === undefined && maxLength === undefined) return "string";
    return this.#named(`"\\"" ${PLAIN}{${minLength ?? 0},${maxLength ?? ""}} "\\""`);
  }

  #bounded(type: "integer" | "number", { minimum, maximum }: WrittenSchema): string {
    if (minimum === undefined && maximum === undefined) return type;
    const [least, most] = [minimum, maximum] as (number | undefined)[];
    const rule = (type === "integer" ? integerRule : numberRule)(least, most);
    if (rule === undefined) throw new RangeError("No number lies between the bounds");
    return this.#named(rule);
  }

  #array({ prefixItems = [], items, minItems = 0, maxItems }: WrittenSchema): string {
    const first = (prefixItems as WrittenSchema[]).map((item) => this.rule(item));
    const least = minItems as number;
    const most = maxItems === undefined ? Infinity : maxItems as number;
    const rest = items === false ? undefined : this.rule(items as WrittenSchema);
    // What comes behind so many items, each with what may come behind it.
    const after = (at: number): string => {
      if (at < first.length) {
        const one = this.#named(`comma ${first[at]} ${after(at + 1)}`);
        return at >= least ? `${one}?` : one;
      }
      if (!rest || at >= most) return '""';
      const [low, high] = [Math.max(0, least - at), most === Infinity ? "" : most - at];
      return `${this.#named(`comma ${rest}`)}{${low},${high}}`;
    };
    if (most === 0 || (first.length === 0 && !rest)) return this.#named('"[" space "]"');
    const all = this.#named(`${first[0] ?? rest} ${after(1)} space`);
    return this.#named(`"[" space ${least === 0 ? `${all}?` : all} "]"`);
  }

  #object({ properties, required, additionalProperties: others }: WrittenSchema): string {
    const all = Object.entries(properties as Record<string, WrittenSchema>);
    const must = new Set(required as string[]);
    if (all.length === 0) {
      if (others === false) return this.#named('"{" space "}"');
      const one = this.#named(`string colon ${this.rule(others as WrittenSchema)}`);
      return this.#named(`"{" space (${one} (comma ${one})* space)? "}"`);
    }
    const rules = all.map(([name, schema]) =>
      this.#named(`${literal(spelt(name))} colon ${this.rule(schema)}`)
    );
    // What comes behind each property, if it is there; properties come in their order.
    const tails = ['""'];
    for (let at = all.length - 1; at > 0; at--) {
      const one = `comma ${rules[at]}`;
      const text = must.has(all[at]![0]) ? `${one} ${tails[0]}` : `(${one})? ${tails[0]}`;
      tails.unshift(this.#named(text));
    }
    const firstMust = all.findIndex(([name]) => must.has(name));
    const firsts = all.slice(0, firstMust < 0 ? all.length : firstMust + 1).map((_, at) =>
      `${rules[at]} ${tails[at]} space`
    );
    const body = this.#named(firsts.join(" | "));
    return this.#named(`"{" space ${firstMust < 0 ? `${body}?` : body} "}"`);
  }

  #named(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) this.#names.set(text, name = `x${this.#names.size}`);
    return name;
  }
}
