import { type AnswerEnd, answerEnds, END_FILES } from "../formats/answer_ends.ts";
import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { readOptionalJson, readOptionalText, readTexts } from "../formats/foreign_json.ts";
import { readTokenizer } from "../formats/tokenizers/read_tokenizer.ts";
import { chatTemplateProblem } from "../jinja/trial.ts";
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
  const { files, problem } = await openFiles(directory);
  const config = (files?.config ?? await readJson(`${directory}/tokenizer_config.json`)) as
    | Record<string, unknown>
    | undefined;
  const own = await readOptionalText(`${directory}/chat_template.jinja`)
    .catch((error: Error) => error);
  const template = own ??
    (typeof config?.chat_template === "string" ? config.chat_template : undefined);
  const why = template instanceof Error
    ? template.message
    : template === undefined
    ? undefined
    : chatTemplateProblem(template, named(config));
  const chat = [
    "chat template",
    template === undefined ? "none" : why ? "unusable" : "there",
  ] as const;
  const wrong = why ? [`The chat template lays out no conversation, it says: ${why}`] : [];
  if (files === undefined) {
    const kind = problem === undefined ? "none" : "unreadable";
    return { facts: [["tokenizer", kind], chat], problems: [...problem ?? [], ...wrong] };
  }
  const json = files.tokenizer as { readonly model?: { readonly type?: string } | null } | null;
  const type = json?.model?.type ?? "of unknown type";
  try {
    const { size, bos, eos, token } = openTokenizer(files);
    const special = (id: number | undefined) => id === undefined ? "none" : `${token(id)} (${id})`;
    const ends = await directoryEnds(directory, files);
    const more = rows !== undefined && size > rows
      ? [`The tokenizer makes ids up to ${size - 1}, but the embedding has ${rows} rows`]
      : [];
    return {
      facts: [
        ["tokenizer", `${type} of ${size} tokens`],
        ["first token", special(bos)],
        ["last token", special(eos)],
        ["ends of answers", endWords(ends)],
        chat,
      ],
      problems: [...more, ...wrong, ...endProblems(ends)],
    };
  } catch (error) {
    return { facts: [["tokenizer", type], chat], problems: [(error as Error).message, ...wrong] };
  }
}

/** What makes a directory's tokenizer, and why it cannot be read where it cannot. */
async function openFiles(
  directory: string,
): Promise<{ readonly files?: TokenizerFiles; readonly problem?: readonly string[] }> {
  try {
    const files = await readTokenizer(directory);
    return files ? { files } : {};
  } catch (error) {
    return { problem: [(error as Error).message] };
  }
}

/** The tokens that end answers, each with what says so. */
export function endWords(ends: readonly AnswerEnd[]): string {
  const words = ends.map(({ id, token, sources }) =>
    `${token ?? "no token"} (${id}): ${sources.join(", ")}`
  );
  return words.join("; ") || "none";
}

/** What is wrong with them: ids that the vocabulary lacks, or none at all. */
export function endProblems(ends: readonly AnswerEnd[]): string[] {
  if (ends.length === 0) return ["Nothing says which token ends an answer"];
  return ends.filter(({ token }) => token === undefined).map(({ id, sources }) =>
    `${sources.join(" and ")} would end answers at id ${id}, which no token has`
  );
}

async function directoryEnds(
  directory: string,
  tokenizer: TokenizerFiles,
): Promise<AnswerEnd[]> {
  const files = await readTexts(directory, END_FILES);
  return answerEnds({ config: await readJson(`${directory}/config.json`), tokenizer, files });
}

/** The tokens that a template may ask for by name. */
function named(config: Record<string, unknown> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config ?? {}).flatMap(([key, value]) => {
      const token = typeof value === "string"
        ? value
        : (value as { content?: unknown } | null)?.content;
      return key.endsWith("_token") && typeof token === "string" ? [[key, token]] : [];
    }),
  );
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const json = await readOptionalJson(path).catch(() => undefined);
  return typeof json === "object" && json ? json as Record<string, unknown> : undefined;
}
