/**
 * Prints where Restate's server program lies, fetching it if it is not there.
 *
 * It runs in a process of its own with the `deno.json` and `deno.lock` beside it: Deno fetches what
 * a lock file names before it starts anything, and the server is 216 MB that only `restate` needs.
 *
 * @module
 */
import "@restatedev/restate-server/package.json" with { type: "json" };
import { createRequire } from "node:module";
import process from "node:process";

const server = import.meta.resolve("@restatedev/restate-server/package.json");
const { resolve } = createRequire(server);
const program = `@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`;
// deno-lint-ignore no-console -- the answer
console.log(resolve(program));
