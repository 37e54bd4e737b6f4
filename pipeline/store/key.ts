import type { KeyDocument } from "../artifact.ts";
import { sha256 } from "./hash.ts";

/**
 * JSON in which equal data gives equal text: keys sorted, undefined fields left out.
 *
 * Throws a TypeError that names the place of what JSON cannot hold, such as NaN.
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

/** The key of an artifact: sha256 of its canonical key document, as hex. */
export function keyOf(document: KeyDocument): string {
  return sha256(canonicalJson(document));
}

function write(value: unknown, trail: readonly string[]): string {
  if (value === null || typeof value === "string" || typeof value === "boolean") {
    return JSON.stringify(value);
  }
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) {
    return `[${value.map((item, i) => write(item, [...trail, String(i)])).join(",")}]`;
  }
  if (isPlain(value)) {
    const fields = Object.keys(value).filter((name) => value[name] !== undefined).sort();
    return `{${
      fields.map((name) => `${JSON.stringify(name)}:${write(value[name], [...trail, name])}`)
    }}`;
  }
  throw new TypeError(
    `Cannot put "${trail.join(".")}" into a key: it is ${
      named(value)
    }, expected what JSON can hold`,
  );
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function named(value: unknown): string {
  return typeof value === "object" && value !== null
    ? `a ${value.constructor.name}`
    : String(value);
}
