import type { WrittenSchema } from "../rules.ts";
import { objectAt, refuseSchema } from "./demands.ts";
import { isObject } from "./json_values.ts";
import { checkAlone } from "./keywords.ts";
import { MOST_LEVELS, type Schema, type SchemaPart } from "./part.ts";

/** Where references of a schema lead, each place that one leads to read once. */
export class SchemaReferences {
  readonly #root: unknown;
  readonly #field: string;
  /** Names of definitions by the pointers that lead to them. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Record<string, WrittenSchema> = {};

  constructor(root: unknown, field: string) {
    this.#root = root;
    this.#field = field;
  }

  /** What references led to until now, by the names that `readReference()` gave; undefined if none did. */
  get definitions(): Readonly<Record<string, WrittenSchema>> | undefined {
    return this.#names.size > 0 ? this.#definitions : undefined;
  }

  /** Reads `$ref`, which stands alone. */
  readReference(part: SchemaPart): WrittenSchema {
    checkAlone(part, ["$ref"]);
    const { schema, path } = part;
    const pointer = schema["$ref"];
    let target = this.#target(pointer, path);
    const seen = new Set([pointer]);
    // Of references to references the last counts; a circle of them says nothing.
    while (isObject(target) && "$ref" in target) {
      if (seen.has(target["$ref"])) refuseSchema(`${path}.$ref`, "refers to itself", "a schema");
      seen.add(target["$ref"]);
      target = this.#target(target["$ref"], path);
    }
    const last = String([...seen].at(-1));
    let name = this.#names.get(last);
    if (name === undefined) {
      name = `r${letters(this.#names.size)}`;
      this.#names.set(last, name);
      this.#definitions[name] = part.read(target, `${this.#field}${pathOf(last)}`);
    }
    return { $ref: `#/$defs/${name}` };
  }

  /** A schema as it comes, with the reference it is, if it is one, followed. */
  inlined(given: unknown, path: string, level: number): Schema {
    if (level > MOST_LEVELS) refuseSchema(path, "refers to itself", "an end");
    const schema = objectAt(path, given === true ? {} : given);
    if (!("$ref" in schema)) return schema;
    return this.inlined(this.#target(schema["$ref"], path), path, level + 1);
  }

  /** A schema as it was written, with the reference it is followed; one that is still read is empty. */
  followed(schema: WrittenSchema): WrittenSchema {
    const name = typeof schema["$ref"] === "string" ? schema["$ref"].split("/").at(-1)! : undefined;
    return name === undefined ? schema : this.#definitions[name] ?? {};
  }

  #target(pointer: unknown, path: string): unknown {
    if (typeof pointer !== "string" || !/^#(\/|$)/.test(pointer)) {
      refuseSchema(
        `${path}.$ref`,
        `is ${JSON.stringify(pointer)}`,
        "a place in the same schema, #/...",
      );
    }
    let at = this.#root;
    for (const step of pointer.split("/").slice(1)) {
      const key = plain(step);
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) {
        refuseSchema(`${path}.$ref`, `leads to "${pointer}", which is nowhere`, "a place in it");
      }
      at = (at as Schema)[key];
    }
    return at;
  }
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
