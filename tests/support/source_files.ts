import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The top directory of the repository. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A file of the program; paths are relative to {@linkcode ROOT}. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
  /** Our files that it imports, for types too, at once or when they are needed. */
  readonly imports: readonly string[];
}

/** Where another language than TypeScript has its files. */
export const ASSEMBLY = "kernels/assembly";

/**
 * All files of TypeScript and WGSL in `kernels/`, `pipeline/` and `stages/`; AssemblyScript is another
 * language.
 */
export async function sources(): Promise<SourceText[]> {
  const found: SourceText[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
      const path = posix.join(folder, name);
      if (path === ASSEMBLY) continue;
      if (isDirectory) await visit(path);
      else if (/\.(ts|wgsl)$/.test(name)) found.push(await read(path));
    }
  };
  for (const folder of ["kernels", "pipeline", "stages"]) await visit(folder);
  return found;
}

async function read(path: string): Promise<SourceText> {
  const full = join(ROOT, path);
  const text = await Deno.readTextFile(full);
  const imports = [...text.matchAll(/(?:from |import\(\s*)"(\.[^"]+\.ts)"/g)]
    .map(([, target]) => posix.join(posix.dirname(path), target!));
  return { path, text, imports };
}

/** Names that a file takes from others, by the path of the file that has them; `*` for all of them. */
export function importedNames({ path, text }: Pick<SourceText, "path" | "text">) {
  const found: { readonly from: string; readonly name: string }[] = [];
  const listed = /(?:import|export)\s+(?:type\s+)?(?:\{([^}]*)\}|\*[^"]*?)\s*from "(\.[^"]+\.ts)"/g;
  const whole = /import\(\s*"(\.[^"]+\.ts)"/g;
  const placeOf = (target: string) => posix.join(posix.dirname(path), target);
  for (const [, names = "*", target = ""] of text.matchAll(listed)) {
    for (const name of names.split(",").map((words) => words.trim()).filter(Boolean)) {
      found.push({ from: placeOf(target), name: name.replace(/^type /, "").replace(/ as .*/, "") });
    }
  }
  for (const [, target = ""] of text.matchAll(whole)) {
    found.push({ from: placeOf(target), name: "*" });
  }
  return found;
}

/** Circles of a graph: its strongly connected parts of more than one node, each in order of names. */
export function circlesOf(graph: ReadonlyMap<string, Iterable<string>>): string[][] {
  const found: string[][] = [];
  const places = new Map<string, number>();
  const open: string[] = [];
  const visit = (node: string): number => {
    const place = places.size;
    let low = place;
    places.set(node, place);
    open.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next) || next === node) continue;
      if (!places.has(next)) low = Math.min(low, visit(next));
      else if (open.includes(next)) low = Math.min(low, places.get(next) ?? low);
    }
    if (low === place) {
      const part = open.splice(open.indexOf(node));
      if (part.length > 1) found.push(part.sort());
    }
    return low;
  };
  for (const node of graph.keys()) if (!places.has(node)) visit(node);
  return found;
}
