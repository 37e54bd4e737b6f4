import { join } from "node:path";
import { hubSettings } from "./settings.ts";

/** A model in the cache that is shared with Python's `huggingface_hub`. */
export interface CachedModel {
  /** As `--set model=` takes it. */
  readonly name: string;
  readonly path: string;
  /** Bytes on disk. */
  readonly bytes: number;
  /** Whether a download of it has not ended. */
  readonly partial: boolean;
}

/** The models that the cache has, by their names, and where the cache is. */
export async function cachedModels(): Promise<{
  readonly folder: string;
  readonly models: readonly CachedModel[];
}> {
  const { cacheDir: folder } = await hubSettings();
  const names = await namesIn(folder);
  const models = await Promise.all(
    names.filter((name) => name.startsWith("models--")).sort().map(async (name) => {
      const path = join(folder, name);
      const blobs = await namesIn(join(path, "blobs"));
      const sizes = await Promise.all(
        blobs.map(async (blob) => (await Deno.stat(join(path, "blobs", blob))).size),
      );
      return {
        name: name.slice("models--".length).replaceAll("--", "/"),
        path,
        bytes: sizes.reduce((sum, size) => sum + size, 0),
        partial: blobs.some((blob) => blob.endsWith(".incomplete")),
      };
    }),
  );
  return { folder, models: models.filter(({ bytes }) => bytes > 0) };
}

async function namesIn(folder: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
}
