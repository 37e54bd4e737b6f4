/** What of SIMD a module uses: `relaxed` is faster, `plain` runs on every engine with SIMD. */
export type SimdKind = "relaxed" | "plain";

/** All kinds, the faster one first. */
export const SIMD_KINDS: readonly SimdKind[] = ["relaxed", "plain"];

/** A module of kernels, compiled for this machine. */
export interface KernelModule {
  readonly module: WebAssembly.Module;
  /** Has `copy`, from one memory to another. */
  readonly copy: WebAssembly.Module;
  readonly kind: SimdKind;
  /** Whether a product and a sum are rounded together, which processors differ in. */
  readonly fused: boolean;
  /** Names of its kernels; their places are their programs. */
  readonly programs: readonly string[];
}

/** The exports that are no kernels. */
const OTHERS = ["fused", "work"];

/**
 * The name of an engine with such a module, which tells its class of arithmetic: where it is the same,
 * so are all bits, whatever the number of threads.
 */
export function engineName({ fused }: KernelModule): string {
  return `CPU engine with ${fused ? "fused" : "separate"} multiply-add`;
}

/** Where a committed module of kernels lies. */
export function moduleUrl(kind: SimdKind): URL {
  return new URL(`../../assembly/kernels_${kind}.wasm`, import.meta.url);
}

/** Where the committed module lies that copies. */
export const COPY_URL = new URL("../../assembly/copy.wasm", import.meta.url);

const LOADED = new Map<SimdKind | undefined, Promise<KernelModule>>();

/**
 * Loads the faster module that this engine takes, or the one asked for: once, for what was compiled of
 * it then serves every device of this process.
 */
export function loadModule(wanted?: SimdKind): Promise<KernelModule> {
  const loaded = LOADED.get(wanted) ?? load(wanted);
  LOADED.set(wanted, loaded);
  return loaded;
}

async function load(wanted?: SimdKind): Promise<KernelModule> {
  for (const kind of wanted ? [wanted] : SIMD_KINDS) {
    const bytes = await Deno.readFile(moduleUrl(kind));
    if (!WebAssembly.validate(bytes)) continue;
    const module = await WebAssembly.compile(bytes);
    const names = WebAssembly.Module.exports(module).map(({ name }) => name);
    const programs = names.filter((name) => !OTHERS.includes(name));
    const copy = await WebAssembly.compile(await Deno.readFile(COPY_URL));
    return { module, copy, kind, programs, fused: await isFused(module) };
  }
  throw new Error(
    "Cannot open the CPU engine: this JavaScript engine refuses its WebAssembly, expected one with SIMD and threads",
  );
}

async function isFused(module: WebAssembly.Module): Promise<boolean> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, table } });
  return (exports.fused as (near: number) => number)(1 + 2 ** -12) !== 0;
}
