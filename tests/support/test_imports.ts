import { pathToFileURL } from "node:url";
import { keepThreads } from "../../kernels/device/cpu/threads.ts";

// Tests open hundreds of engines.
keepThreads();

/** Registers the tests of the files that are its arguments, in one graph of modules. */
for (const path of Deno.args) await import(pathToFileURL(path).href);
