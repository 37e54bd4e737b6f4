import type { Checkpoint } from "./checkpoint.ts";

/** Writes what a checkpoint holds beside its weights: config, tokenizer and other small files. */
export async function writeCheckpointTexts(
  { config, tokenizer, files }: Pick<Checkpoint, "config" | "tokenizer" | "files">,
  out: string,
): Promise<void> {
  const write = (name: string, json: unknown) =>
    Deno.writeTextFile(`${out}/${name}`, JSON.stringify(json, undefined, 2));
  await write("config.json", config);
  for (const [name, text] of files) await Deno.writeTextFile(`${out}/${name}`, text);
  if (!tokenizer) return;
  await write("tokenizer.json", tokenizer.tokenizer);
  await write("tokenizer_config.json", tokenizer.config);
}
