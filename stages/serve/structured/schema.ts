import { schemaRules, type WrittenSchema } from "./rules.ts";
import { readAllOf } from "./schema/all_of.ts";
import { readAnyOf } from "./schema/any_of.ts";
import { readArray } from "./schema/arrays.ts";
import { objectAt, refuseSchema } from "./schema/demands.ts";
import { givenTypes } from "./schema/json_types.ts";
import { checkKnown, checkTyped } from "./schema/keywords.ts";
import { readValues } from "./schema/listed_values.ts";
import { readNumber } from "./schema/numbers.ts";
import { readObject } from "./schema/objects.ts";
import { MOST_LEVELS, type SchemaPart } from "./schema/part.ts";
import { SchemaReferences } from "./schema/references.ts";
import { readString } from "./schema/strings.ts";

/** Schemas that one may have. */
const MOST_SCHEMAS = 2048;

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

/** Asks whoever knows the keywords of each schema, within limits. */
class SchemaReader {
  readonly #root: unknown;
  readonly #field: string;
  readonly #references: SchemaReferences;
  #count = 0;

  constructor(root: unknown, field: string) {
    this.#root = root;
    this.#field = field;
    this.#references = new SchemaReferences(root, field);
  }

  whole(): WrittenSchema {
    const schema = this.#read(this.#root, this.#field, 0);
    const { definitions } = this.#references;
    return { ...schema, ...definitions && { $defs: definitions } };
  }

  #read(given: unknown, path: string, level: number): WrittenSchema {
    if (level > MOST_LEVELS || ++this.#count > MOST_SCHEMAS) {
      refuseSchema(
        path,
        "is too deep or has too many parts",
        `at most ${MOST_LEVELS} levels and ${MOST_SCHEMAS} schemas`,
      );
    }
    if (given === true) return {};
    if (given === false) refuseSchema(path, "is false, which nothing satisfies", "an object");
    const schema = objectAt(path, given);
    checkKnown(schema, path);
    const next = level + 1;
    return this.#readPart({
      schema,
      path,
      level: next,
      read: (within, place) => this.#read(within, place, next),
    });
  }

  #readPart(part: SchemaPart): WrittenSchema {
    const { schema } = part;
    if ("$ref" in schema) return this.#references.readReference(part);
    if ("allOf" in schema) return readAllOf(part, this.#references);
    if ("anyOf" in schema || "oneOf" in schema) return readAnyOf(part, this.#references);
    if ("const" in schema || "enum" in schema) return readValues(part);
    const types = givenTypes(part);
    if (types.length === 0) return {};
    checkTyped(part);
    const each = types.map((type) => readTyped(type, part));
    return each.length === 1 ? each[0]! : { anyOf: each };
  }
}

function readTyped(type: string, part: SchemaPart): WrittenSchema {
  switch (type) {
    case "object":
      return readObject(part);
    case "array":
      return readArray(part);
    case "string":
      return readString(part);
    case "number":
    case "integer":
      return readNumber(type, part);
    default:
      return { type };
  }
}
