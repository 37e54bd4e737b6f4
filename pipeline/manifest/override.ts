import { parseScalar, type Scalar } from "./yaml_tree.ts";

/** One `--set` argument: `name=value` for a param, `step.key=value` for a parameter of a step. */
export interface Override {
  /** As the user wrote it, for messages. */
  readonly text: string;
  readonly path: readonly [string, ...string[]];
  /** What the value means as YAML. */
  readonly value: Scalar;
  /** The value letter by letter, for params that are text. */
  readonly literal: string;
}

/** Reads a `--set` argument; throws a SyntaxError where it has no name or no value. */
export function parseOverride(text: string): Override {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals)).trim();
  const [first, ...rest] = name.split(".");
  if (first === undefined || [first, ...rest].some((word) => !/^[\w-]+$/.test(word))) {
    throw new SyntaxError(`Cannot set "${text}": expected name=value or step.key=value`);
  }
  if (name.includes("__proto__")) throw new SyntaxError(`Cannot set "${name}": it is no name`);
  const literal = text.slice(equals + 1);
  return { text, path: [first, ...rest], value: parseScalar(literal), literal };
}

/** How messages call the place where an override stands. */
export function overrideSource({ text }: Override): string {
  return `--set ${text}`;
}
