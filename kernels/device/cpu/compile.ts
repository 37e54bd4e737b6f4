/**
 * Compiles the assembly of kernels to the two modules that the CPU engine loads: with relaxed SIMD,
 * and with plain SIMD for engines that lack it.
 *
 * @module
 */
import { main } from "assemblyscript/asc";
import { fileURLToPath } from "node:url";
import { moduleUrl, SIMD_KINDS, type SimdKind } from "./module.ts";

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

/** The bytes of a module; throws with what the compiler says. */
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

if (import.meta.main) {
  for (const kind of SIMD_KINDS) await Deno.writeFile(moduleUrl(kind), await compiled(kind));
}
