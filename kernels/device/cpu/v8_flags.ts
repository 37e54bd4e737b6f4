/**
 * How V8 is to compile the kernels of the CPU engine, for the command line (`--v8-flags`) or
 * `DENO_V8_FLAGS`: the tasks of `deno.json` that run kernels have them. A program cannot set them later.
 *
 * Without them bits are the same, and products take two to five times as long:
 *
 * - Two vectors of 128 bits that lie side by side become one of 256 where the processor has AVX2.
 * - Addresses are not compared with the memory's size, which else stands between the two. An address
 *   has 32 bits and a memory reserves as many, so that a wrong one finds no page and ends the process
 *   instead of throwing. This holds for memories that reserve all of it, as those of the engine do:
 *   other WebAssembly belongs in a process without this flag.
 */
export const V8_FLAGS: readonly string[] = [
  "--experimental-wasm-revectorize",
  "--no-wasm-bounds-checks",
];
