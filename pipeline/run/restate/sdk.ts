import type * as Sdk from "@restatedev/restate-sdk/fetch";

/** Restate's library for services. */
export type Restate = typeof Sdk;

/**
 * Loads Restate's library for services.
 *
 * The name is not written into the `import`: Deno would load it with the program, and only workers
 * and the server need it.
 */
export async function loadRestate(): Promise<Restate> {
  const name: string = "@restatedev/restate-sdk/fetch";
  return await import(name);
}
