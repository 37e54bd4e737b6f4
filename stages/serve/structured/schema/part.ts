import type { WrittenSchema } from "../rules.ts";

/** A JSON Schema as it comes that is an object. */
export type Schema = Readonly<Record<string, unknown>>;

/** Levels that a schema may have. */
export const MOST_LEVELS = 64;

/** A schema at its place in the whole one, as each file of this folder reads some keywords of it. */
export interface SchemaPart {
  readonly schema: Schema;
  /** Where it stands, for who is told what is wrong in it. */
  readonly path: string;
  /** The level of schemas within it. */
  readonly level: number;
  /** Reads a schema within it, whose whole path is given; one that is wrong is refused by that. */
  read(given: unknown, path: string): WrittenSchema;
}
