import { z } from "zod";

/** A name as manifests write it: `stepTokens` is `step_tokens`. */
type Snake<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Snake<Rest>}`
  : Name;

/** Fields under the names that manifests have for them. */
type SnakeShape<Shape extends z.core.$ZodLooseShape> = {
  [Name in keyof Shape & string as Snake<Name>]: Shape[Name];
};

/** A name as manifests write it. */
export function snakeName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The fields of a schema under the names that manifests have for them. */
export function snakeShape<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
): SnakeShape<Shape> {
  const entries = Object.entries(shape).map(([name, field]) => [snakeName(name), field]);
  return Object.fromEntries(entries) as SnakeShape<Shape>;
}

/** What a schema has of values under the names of manifests. */
export function fromSnake<Schema extends z.ZodObject>(
  { shape }: Schema,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const entries = Object.keys(shape).map((name) => [name, values[snakeName(name)]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
