import { readOptionalJson } from "../formats/foreign_json.ts";
import { openTokenizer } from "../models/tokenizer.ts";

/** What a directory's tokenizer is, and what is wrong with it. */
export interface TokenizerFacts {
  readonly facts: readonly (readonly [string, string])[];
  readonly problems: readonly string[];
}

/** Looks at the tokenizer beside a model whose embedding has so many rows. */
export async function tokenizerFacts(
  directory: string,
  rows: number | undefined,
): Promise<TokenizerFacts> {
  const [tokenizer, config] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json"].map((name) => readJson(`${directory}/${name}`)),
  );
  const template =
    await Deno.stat(`${directory}/chat_template.jinja`).then(() => true, () => false) ||
    typeof config?.chat_template === "string";
  const chat = ["chat template", template ? "there" : "none"] as const;
  if (tokenizer === undefined) return { facts: [["tokenizer", "none"], chat], problems: [] };
  const type = (tokenizer.model as { type?: string } | undefined)?.type ?? "of unknown type";
  try {
    const { size, bos, eos, token } = openTokenizer({ tokenizer, config: config ?? {} });
    const special = (id: number | undefined) => id === undefined ? "none" : `${token(id)} (${id})`;
    const more = rows !== undefined && size > rows
      ? [`The tokenizer makes ids up to ${size - 1}, but the embedding has ${rows} rows`]
      : [];
    return {
      facts: [
        ["tokenizer", `${type} of ${size} tokens`],
        ["first token", special(bos)],
        ["last token", special(eos)],
        chat,
      ],
      problems: more,
    };
  } catch (error) {
    const problem = `The tokenizer cannot be used: ${(error as Error).message}`;
    return { facts: [["tokenizer", type], chat], problems: [problem] };
  }
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const json = await readOptionalJson(path).catch(() => undefined);
  return typeof json === "object" && json ? json as Record<string, unknown> : undefined;
}
