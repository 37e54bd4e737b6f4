import { markdownText } from "../../pipeline/tell/document.ts";
import { continuationsPassage } from "../describe/continuations.ts";
import { likeliestAnswers } from "../engine/likeliest_answers.ts";
import { headerFiles, type ModelOutline, tokenizerOf } from "../facts.ts";
import { duration } from "../duration.ts";
import { Model } from "../models/model.ts";
import { describeModel } from "../models/model_facts.ts";
import { shortScheme } from "../models/short_scheme.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { countPeaks, type DevicePeaks, headersOf, hostPeak } from "../models/peaks.ts";
import type { Continuations } from "../report/continuations.ts";
import { parsedBytes } from "../sizes.ts";
import type { Tokenizer } from "../models/tokenizer.ts";
import type { Job } from "../../pipeline/stage.ts";
import type { Tools, WorkOf } from "../kinds.ts";
import type { GenerateDeclaration } from "../generate.ts";

/** Most bytes of a report without its texts, and of a token. */
const REPORT_BYTES = 2_000;
const TOKEN_BYTES = 32;
/** Tokens behind which generating takes no more memory. */
const FEW_TOKENS = 32;

/** See `generate`. */
export const generateWork: WorkOf<GenerateDeclaration> = {
  async forecast({ models }, { prompts, tokens }, { memoryBytes, limits, rates }) {
    const asked = { prompts, tokens, memoryBytes };
    const peaks = await Promise.all(models.map((model) => countAnswers(model, asked, limits)));
    const most = Math.max(...prompts.map((prompt) => prompt.length)) + TOKEN_BYTES * tokens;
    const times = tokens / Math.min(tokens, FEW_TOKENS);
    return {
      ...duration(rates, peaks.map(({ work }) => ({ work, times }))),
      deviceBytes: Math.max(...peaks.map(({ deviceBytes }) => deviceBytes)),
      hostBytes: Math.max(...peaks.map((each) => hostPeak(0, each))) +
        models.reduce((sum, model) => sum + parsedBytes(model, { tokenizes: true }), 0),
      diskBytes: REPORT_BYTES + 2 * most * prompts.length * (1 + models.length),
      facts: { layers: 0, kvLayers: 0, tasks: [] },
    };
  },
  async run(job, { models }, { title, labels, prompts, tokens }) {
    const subjects: { readonly label: string; readonly scheme: string }[] = [];
    const written: (readonly string[])[] = [];
    for (const [at, { path }] of models.entries()) {
      const { scheme } = await describeModel(path);
      const label = labels?.[at] ?? shortScheme(scheme);
      subjects.push({ label, scheme });
      job.progress(at, models.length, label);
      written.push(
        await job.journal.recall(
          `model-${at}`,
          () => continueTexts(job, path, { prompts, tokens }),
        ),
      );
    }
    job.progress(models.length, models.length);
    const texts = prompts.map((prompt, at) => ({
      prompt,
      answers: written.map((answers) => answers[at]!),
    }));
    const continuations: Continuations = { title, models: subjects, texts };
    const report = `${JSON.stringify({ continuations }, undefined, 2)}\n`;
    await Deno.writeTextFile(`${job.out}/report.json`, report);
    const page = markdownText([continuationsPassage(continuations)]);
    await Deno.writeTextFile(`${job.out}/report.md`, page);
  },
};

/** What continuing texts takes of the device, by doing so with headers alone. */
async function countAnswers(
  model: ModelOutline,
  { prompts, tokens, memoryBytes }: {
    readonly prompts: readonly string[];
    readonly tokens: number;
    readonly memoryBytes: number;
  },
  limits: unknown,
): Promise<DevicePeaks> {
  const tokenizer = await tokenizerOf(model);
  if (!tokenizer) throw noTokenizer();
  const ids = prompts.map((prompt) => encoded(tokenizer, prompt));
  const longest = longestOf(ids);
  const files = headersOf(headerFiles(model));
  refuseTooLong(files.architecture.config.positions, { longest, tokens });
  return await countPeaks(limits, async (open) => {
    const device = await open();
    using opened = Model.of(device, files, { weightBytes: Infinity });
    const few = Math.min(tokens, FEW_TOKENS);
    const usable = Math.min(tokenizer.size, opened.config.vocabulary);
    await likeliestAnswers(device, opened, ids, {
      tokens: few,
      context: longest + tokens,
      memoryBytes,
      choices: usable,
    });
  });
}

/** What a model writes behind each of some prompts. */
async function continueTexts(
  { tools, signal }: Job<Tools>,
  path: string,
  { prompts, tokens }: { readonly prompts: readonly string[]; readonly tokens: number },
): Promise<readonly string[]> {
  const device = await tools.device();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const { openServedTokenizer } = await import("../serve/served_tokenizer.ts");
  using checkpoint = await openCheckpoint(path);
  const { tokenizer: files, files: texts, config } = checkpoint;
  if (!files) throw noTokenizer();
  const { vocabulary, positions } = model.config;
  const tokenizer = openServedTokenizer(files, texts, config, vocabulary);
  const ids = prompts.map((prompt) => encoded(tokenizer, prompt));
  refuseTooLong(positions, { longest: longestOf(ids), tokens });
  const ends = [...tokenizer.ends, ...tokenizer.eos === undefined ? [] : [tokenizer.eos]];
  const { memoryBytes } = tools;
  const { usable: choices } = tokenizer;
  const context = longestOf(ids) + tokens;
  const told = { tokens, context, memoryBytes, ends, choices, signal };
  const written = await likeliestAnswers(device, model, ids, told);
  return written.map((ids) => tokenizer.decode(ids.filter((id) => !tokenizer.special(id))));
}

function encoded(tokenizer: Tokenizer, prompt: string): readonly number[] {
  return tokenizer.encode(prompt, { special: true });
}

function longestOf(ids: readonly (readonly number[])[]): number {
  return Math.max(...ids.map(({ length }) => length));
}

function noTokenizer(): TypeError {
  return new TypeError(
    "Cannot continue texts: the model has no tokenizer.json, expected one beside its weights",
  );
}

function refuseTooLong(
  positions: number,
  { longest, tokens }: { readonly longest: number; readonly tokens: number },
): void {
  if (longest + tokens <= positions) return;
  throw new RangeError(
    `Cannot continue a prompt of ${longest} tokens by ${tokens}: that is ${
      longest + tokens
    }, expected at most ${positions}, which the model was made for; lower tokens or shorten the prompt`,
  );
}
