/**
 * Compiles the assembly of kernels to the modules that the CPU engine loads: kernels with relaxed SIMD,
 * the same with plain SIMD for engines that lack it, and what copies between memories.
 *
 * @module
 */
import { main } from "assemblyscript/asc";
import binaryen from "binaryen";
import { fileURLToPath } from "node:url";
import { COPY_URL, moduleUrl, SIMD_KINDS, type SimdKind } from "./module.ts";

const OPTIONS = [
  "-O3",
  "--noAssert",
  "--runtime",
  "stub",
  "--importMemory",
  "--importTable",
  "--noExportMemory",
  "--sharedMemory",
  "--initialMemory",
  "1",
  "--maximumMemory",
  "65536",
  // Addresses have 32 bits.
  "--disableWarning",
  "201",
];

/** The bytes of a module of kernels; throws with what the compiler says. */
export async function compiled(kind: SimdKind): Promise<Uint8Array<ArrayBuffer>> {
  const features = ["simd", "threads", ...kind === "relaxed" ? ["relaxed-simd"] : []];
  const baseDir = fileURLToPath(new URL("../../assembly", import.meta.url));
  const args = ["index.ts", "--baseDir", baseDir, "-o", "out.wasm", "--enable", features.join()];
  let made: Uint8Array | undefined;
  const { error, stderr } = await main([...args, ...OPTIONS], {
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") made = contents;
    },
  });
  if (error || !made) {
    throw new Error(`Cannot compile the assembly of kernels: ${error?.message}\n${stderr}`);
  }
  return new Uint8Array(made);
}

/** The bytes of the module that copies, which AssemblyScript has no words for: it has two memories. */
export async function compiledCopy(): Promise<Uint8Array<ArrayBuffer>> {
  const text = await Deno.readTextFile(new URL("../../assembly/copy.wat", import.meta.url));
  const module = binaryen.parseText(text);
  const { Atomics, BulkMemory, BulkMemoryOpt, MultiMemory } = binaryen.Features;
  module.setFeatures(Atomics | BulkMemory | BulkMemoryOpt | MultiMemory);
  return new Uint8Array(module.emitBinary());
}

if (import.meta.main) {
  await Deno.writeFile(COPY_URL, await compiledCopy());
  for (const kind of SIMD_KINDS) await Deno.writeFile(moduleUrl(kind), await compiled(kind));
}
