/** What of SIMD a module uses: `relaxed` is faster, `plain` runs on every engine with SIMD. */
export type SimdKind = "relaxed" | "plain";

/** All kinds, the faster one first. */
export const SIMD_KINDS: readonly SimdKind[] = ["relaxed", "plain"];

/** A module of kernels, compiled for this machine. */
export interface KernelModule {
  readonly module: WebAssembly.Module;
  readonly kind: SimdKind;
  /** Names of its kernels; their places are their programs. */
  readonly programs: readonly string[];
}

/** The export that is no kernel. */
const WORK = "work";

/** Where a committed module lies. */
export function moduleUrl(kind: SimdKind): URL {
  return new URL(`../../assembly/kernels_${kind}.wasm`, import.meta.url);
}

/** Loads the faster module that this engine takes, or the one asked for. */
export async function loadModule(wanted?: SimdKind): Promise<KernelModule> {
  for (const kind of wanted ? [wanted] : SIMD_KINDS) {
    const bytes = await Deno.readFile(moduleUrl(kind));
    if (!WebAssembly.validate(bytes)) continue;
    const module = await WebAssembly.compile(bytes);
    const names = WebAssembly.Module.exports(module).map(({ name }) => name);
    return { module, kind, programs: names.filter((name) => name !== WORK) };
  }
  throw new Error(
    "Cannot open the CPU engine: this JavaScript engine refuses its WebAssembly, expected one with SIMD and threads",
  );
}
