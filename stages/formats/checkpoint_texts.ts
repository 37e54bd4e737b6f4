import type { Checkpoint } from "./checkpoint.ts";

type Texts = Pick<Checkpoint, "config" | "tokenizer" | "files">;

/** Writes what a checkpoint holds beside its weights: config, tokenizer and other small files. */
export async function writeCheckpointTexts(
  { config, tokenizer, files }: Texts,
  out: string,
): Promise<void> {
  for (const [name, text] of textsOf({ config, tokenizer, files })) {
    await Deno.writeTextFile(`${out}/${name}`, text);
  }
}

/** Bytes of the same. */
export function textBytes(texts: Texts): number {
  return textsOf(texts).reduce((sum, [, text]) => sum + new TextEncoder().encode(text).length, 0);
}

function textsOf({ config, tokenizer, files }: Texts): (readonly [name: string, text: string])[] {
  const written = (json: unknown) => JSON.stringify(json, undefined, 2);
  return [
    ["config.json", written(config)],
    ...files,
    ...tokenizer
      ? [
        ["tokenizer.json", written(tokenizer.tokenizer)],
        ["tokenizer_config.json", written(tokenizer.config)],
      ] as const
      : [],
  ];
}
