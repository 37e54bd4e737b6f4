import { MODEL_RECORD } from "./model_record.ts";

/** Names that a model artifact's stages write themselves. */
const REWRITTEN = new RegExp(`^(${MODEL_RECORD}|channels-\\d+\\.safetensors|artifact\\.json)$`);

/**
 * Takes over a model's weights and texts unchanged: as hard links where the file system has them, for
 * artifacts are read-only.
 */
export async function copyModelFiles(from: string, out: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (!isFile || REWRITTEN.test(name)) continue;
    await Deno.link(`${from}/${name}`, `${out}/${name}`)
      .catch(() => Deno.copyFile(`${from}/${name}`, `${out}/${name}`));
  }
}
