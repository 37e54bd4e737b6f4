import { STRING_FORMATS } from "../formats.ts";
import { PatternError, patternRule } from "../pattern.ts";
import type { WrittenSchema } from "../rules.ts";
import { countAt, refuseSchema } from "./demands.ts";
import type { SchemaPart } from "./part.ts";

/** Reads the keywords of strings: a pattern, a format or lengths. */
export function readString(part: SchemaPart): WrittenSchema {
  const { schema: { pattern, format }, path } = part;
  const [least, most] = ["minLength", "maxLength"].map((key) => countAt(part, key));
  const said = [pattern, format, least ?? most].filter((one) => one !== undefined);
  if (said.length > 1) {
    refuseSchema(path, "has several of pattern, format and lengths", "one of them");
  }
  if (format !== undefined) return { type: "string", rule: formatRule(format, path) };
  if (pattern !== undefined) return { type: "string", rule: givenRule(pattern, path) };
  if (least !== undefined && most !== undefined && least > most) {
    refuseSchema(`${path}.minLength`, `is ${least}, more than maxLength`, `at most ${most}`);
  }
  return {
    type: "string",
    ...least !== undefined && { minLength: least },
    ...most !== undefined && { maxLength: most },
  };
}

function formatRule(format: unknown, path: string): string {
  const name = String(format);
  const pattern = Object.hasOwn(STRING_FORMATS, name) ? STRING_FORMATS[name] : undefined;
  if (pattern === undefined) {
    refuseSchema(
      `${path}.format`,
      `is ${JSON.stringify(format)}`,
      Object.keys(STRING_FORMATS).join(", "),
    );
  }
  return patternRule(pattern, { json: true });
}

function givenRule(pattern: unknown, path: string): string {
  if (typeof pattern !== "string") refuseSchema(`${path}.pattern`, "is no text", "a pattern");
  try {
    return patternRule(pattern, { json: true });
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    refuseSchema(`${path}.pattern`, `cannot be held to: ${error.message}`, "another");
  }
}
