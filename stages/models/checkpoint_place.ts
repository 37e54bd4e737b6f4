import { fileURLToPath } from "node:url";

/** Where the tiny model lies that ships with the program. */
export const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));

/** The place of a model as manifests and commands say it: `embedded`, or a place. */
export function checkpointPlace(said: string): string {
  return said === "embedded" ? EMBEDDED : said;
}

/** The files that make the content of a checkpoint, without opening its weights. */
export async function checkpointSources(path: string): Promise<string[]> {
  if (checkpointKind(path) === "gguf") {
    const { ggufSources } = await import("../formats/gguf/parts.ts");
    return await ggufSources(path);
  }
  const { directorySources } = await import("../formats/safetensors/directory_sources.ts");
  return await directorySources(path);
}

/** Which kind of checkpoint lies at a path; throws where it is none. */
export function checkpointKind(path: string): "gguf" | "directory" {
  const wanted = "expected a Hugging Face directory or a .gguf file";
  let found: Deno.FileInfo;
  try {
    found = Deno.statSync(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new TypeError(`Cannot open checkpoint "${path}": there is no such file, ${wanted}`, {
      cause,
    });
  }
  if (found.isDirectory) return "directory";
  if (path.toLowerCase().endsWith(".gguf")) return "gguf";
  throw new TypeError(`Cannot open checkpoint "${path}": it is a file of another kind, ${wanted}`);
}
