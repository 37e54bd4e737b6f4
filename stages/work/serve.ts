import { createHash } from "node:crypto";
import { chooseTunedDevice, openTunedDevice } from "../../kernels/tuned_device.ts";
import type { Job } from "../../pipeline/stage.ts";
import { ROUNDS, type TrialWork, tryDeployment } from "../benchmark/deployment_trial.ts";
import { ratesOf } from "../benchmark/results.ts";
import { memoryWords } from "../engine/engine_sizes.ts";
import { headerFiles, type ModelOutline } from "../facts.ts";
import { copyPeftAdapter, peftDigest, peftFiles } from "../formats/peft.ts";
import { openAdapters } from "../models/adapters.ts";
import { architectureOf } from "../models/architecture.ts";
import { Model } from "../models/model.ts";
import { describeModel } from "../models/model_facts.ts";
import { countPeaks, type DevicePeaks, headersOf, hostPeak } from "../models/peaks.ts";
import { copyModelFiles } from "../models/rewrite.ts";
import {
  DEPLOYED_ADAPTERS,
  DEPLOYED_MODEL,
  type Deployment,
  writeDeployment,
} from "../report/deployment.ts";
import { readEvaluation } from "../report/evaluation.ts";
import { qualityOf } from "../report/quality.ts";
import { chatTemplateText } from "../serve/chat_template_text.ts";
import { type DeploymentOptions, deploymentOptions, wishesOf } from "../serve/options.ts";
import type { ServedTokenizer } from "../serve/served_tokenizer.ts";
import { fromSnake, snakeName } from "../serve/snake_names.ts";
import { refuseStopTokens, tokensOf } from "../serve/stop_tokens.ts";
import { linkedBytes, modelBytes, parsedBytes } from "../sizes.ts";
import type { ParamsOf, Tools, WorkOf } from "../kinds.ts";
import type { ServeDeclaration } from "../serve.ts";

type Params = ParamsOf<ServeDeclaration>;

/** Most bytes of the record without its texts, and of a token of an answer. */
const RECORD_BYTES = 4_000;
const TOKEN_BYTES = 32;
/** Tokens behind which generating takes no more memory. */
const FEW_TOKENS = 32;

/** See `serve`. */
export const serveWork: WorkOf<ServeDeclaration> = {
  async forecast({ model, baseline }, params, { memoryBytes, limits }) {
    const options = await optionsOf(params);
    const { device } = options;
    const own = device === undefined ? limits : (await chooseTunedDevice(device)).limits;
    const bounds = { memoryBytes, limits: own };
    const peaks = [await countTrial(model, { options, params }, bounds)];
    if (baseline) peaks.push(await countTrial(baseline, { params }, bounds));
    const texts = params.prompts.reduce((sum, prompt) => sum + 4 * prompt.length, 0) +
      2 * params.prompts.length * TOKEN_BYTES * params.answer_tokens;
    return {
      deviceBytes: Math.max(...peaks.map(({ deviceBytes }) => deviceBytes)),
      hostBytes: Math.max(...peaks.map((each) => hostPeak(0, each))) +
        [model, ...baseline ? [baseline] : []]
          .reduce((sum, each) => sum + parsedBytes(each, { tokenizes: true }), 0),
      diskBytes: modelBytes(model) + RECORD_BYTES + texts + JSON.stringify(options).length +
        await adapterBytes(params),
      // All but the record are links to the model's files.
      linkedBytes: linkedBytes(model),
      facts: {},
    };
  },
  async run(job, { model, baseline, reports }, params) {
    const options = await optionsOf(params);
    const evaluations = await Promise.all(reports.map(({ path }) => readEvaluation(path)));
    for (const { model: about } of evaluations) refuseOther(about.digest, model.digest);
    const { scheme, bitsPerWeight, parameters, bytes, kvBytesPerToken } = await describeModel(
      model.path,
    );
    const { servedTokenizerOf } = await import("../serve/model_tokenizer.ts");
    const tokenizer = await servedTokenizerOf(model.path, options.chatTemplate);
    const { templateProblem } = await import("../serve/chat_template.ts");
    const problem = templateProblem(tokenizer);
    if (problem !== undefined) job.note(problem, undefined, "warning");
    const total = params.prompts.length * (baseline ? 2 : 1) + ROUNDS;
    const tried = await tryModel(job, model.path, { params, options, total, before: 0 });
    const before = params.prompts.length + ROUNDS;
    const full = baseline && await tryModel(job, baseline.path, { params, total, before });
    await Deno.mkdir(`${job.out}/${DEPLOYED_MODEL}`);
    await copyModelFiles(model.path, `${job.out}/${DEPLOYED_MODEL}`, { all: true });
    const adapters = await Promise.all(
      adaptersOfParams(params.adapters).map(async ({ name, path }, at) => {
        const directory = `${DEPLOYED_ADAPTERS}/${at}`;
        await copyPeftAdapter(path, `${job.out}/${directory}`);
        return { name, directory, digest: await peftDigest(path) };
      }),
    );
    const ends = [...new Set([...tokenizer.ends, ...options.stopTokenIds])];
    const { files, texts } = tokenizer.source;
    const [quality] = evaluations.map(qualityOf);
    const deployment: Deployment = {
      version: 1,
      model: { digest: model.digest, scheme, bitsPerWeight, parameters, bytes, kvBytesPerToken },
      digests: {
        tokenizer: sha256(JSON.stringify([files, [...texts]])),
        ...tokenizer.chatTemplate !== undefined &&
          { chatTemplate: sha256(tokenizer.chatTemplate) },
      },
      served: servedParams(options),
      ...adapters.length > 0 && { adapters },
      ends: ends.map((id) => ({ id, token: tokenizer.token(id) ?? "" })),
      ...quality && { quality },
      reports: reports.map(({ digest }) => digest),
      answers: {
        tokens: params.answer_tokens,
        ...baseline && {
          baseline: {
            digest: baseline.digest,
            scheme: (await describeModel(baseline.path)).scheme,
          },
        },
        texts: params.prompts.map((prompt, at) => ({
          prompt,
          answer: tried.texts[at]!,
          ...full && { baseline: full.texts[at]! },
        })),
      },
    };
    await writeDeployment(job.out, deployment);
    job.note(`${tried.device}: ${tried.plan}`, undefined, "result");
    const { prefill, decode } = tried.rates!;
    // Beside the files: how fast it was decides no digest.
    return { scores: { prefill_tokens_per_second: prefill, decode_tokens_per_second: decode } };
  },
};

/** What a model did on the device it is to be served on. */
interface Tried {
  readonly texts: readonly string[];
  readonly device: string;
  readonly plan: string;
  readonly rates?: { readonly prefill: number; readonly decode: number };
}

/** Answers the prompts, and times the model where it is the one to be served. */
async function tryModel(
  job: Job<Tools>,
  path: string,
  { params, options, total, before }: {
    readonly params: Params;
    /** Of the model to be served. */
    readonly options?: DeploymentOptions;
    readonly total: number;
    readonly before: number;
  },
): Promise<Tried> {
  const name = options ? "model" : "baseline";
  return await job.journal.recall(name, async () => {
    job.progress(before, total, name);
    await using stack = new AsyncDisposableStack();
    const own = params.device === undefined
      ? undefined
      : stack.use(await openTunedDevice(params.device));
    const open = async () => {
      own?.trim();
      return own ?? await job.tools.device();
    };
    const { chatTemplate } = options ?? await optionsOf(params);
    const { servedTokenizerOf } = await import("../serve/model_tokenizer.ts");
    const tokenizer = await servedTokenizerOf(path, chatTemplate);
    const adapters = options ? adaptersOfParams(params.adapters) : [];
    const model = stack.use(
      await Model.open(path, await open(), { weightBytes: Infinity, adapters }),
    );
    const work = await workOf(tokenizer, { params, options });
    const { plan, answers, round } = await tryDeployment(open, model, {
      ...work,
      memoryBytes: job.tools.memoryBytes,
      signal: job.signal,
      progress: (done) => job.progress(before + done, total, name),
    });
    const rates = round && ratesOf({ batch: work.timed!.sequences, rounds: [round] });
    return {
      texts: answers.map((ids) => tokenizer.decode(ids.filter((id) => !tokenizer.special(id)))),
      device: (await open()).name,
      plan: memoryWords(plan),
      ...rates && { rates: { prefill: rates.prefill, decode: rates.decode } },
    };
  });
}

/** What the same takes of the device, by doing so with headers alone. */
async function countTrial(
  model: ModelOutline,
  { params, options }: { readonly params: Params; readonly options?: DeploymentOptions },
  { memoryBytes, limits }: { readonly memoryBytes: number; readonly limits: unknown },
): Promise<DevicePeaks> {
  if (options) refuseStopTokens(options, tokensOf(model.config));
  const headers = headersOf(headerFiles(model));
  const adapters = await openAdapters(options ? adaptersOfParams(params.adapters) : [], headers);
  const files = adapters.length > 0 ? { ...headers, adapters } : headers;
  const tokenizer = await outlinedTokenizer(model, options ?? await optionsOf(params));
  const { templateProblem } = await import("../serve/chat_template.ts");
  const problem = options && templateProblem(tokenizer);
  if (problem !== undefined && options?.chatTemplate !== undefined) throw refusedTemplate(problem);
  return await countPeaks(limits, async (open) => {
    using opened = Model.of(await open(), files, { weightBytes: Infinity });
    const work = await workOf(tokenizer, { params, options });
    await tryDeployment(open, opened, { ...work, few: FEW_TOKENS, memoryBytes });
  });
}

async function workOf(
  tokenizer: ServedTokenizer,
  { params, options }: {
    readonly params: Params;
    readonly options: DeploymentOptions | undefined;
  },
): Promise<Omit<TrialWork, "memoryBytes">> {
  const prompts = await Promise.all(params.prompts.map((prompt) => promptIds(tokenizer, prompt)));
  const tokens = params.answer_tokens;
  const longest = Math.max(...prompts.map(({ length }) => length));
  return {
    wishes: options ? wishesOf(options) : { context: longest + tokens, sequences: 1 },
    prompts,
    tokens,
    ends: [...tokenizer.ends, ...options?.stopTokenIds ?? []],
    choices: tokenizer.usable,
    ...options && { timed: params.timed },
  };
}

/** A prompt as a conversation, or as it is where the model has no chat template that works. */
async function promptIds(tokenizer: ServedTokenizer, prompt: string): Promise<readonly number[]> {
  const { chatText, templateProblem } = await import("../serve/chat_template.ts");
  const chats = tokenizer.chatTemplate !== undefined && templateProblem(tokenizer) === undefined;
  if (!chats) return tokenizer.encode(prompt, { special: true });
  const text = chatText(tokenizer, { messages: [{ role: "user", content: prompt }] });
  return tokenizer.encode(text, { special: false });
}

/** What parameters say of serving, under the names that options have, with the template's text. */
async function optionsOf(params: Params): Promise<DeploymentOptions> {
  const options = deploymentOptions.parse(fromSnake(deploymentOptions, params));
  if (options.chatTemplate === undefined) return options;
  return { ...options, chatTemplate: await chatTemplateText(options.chatTemplate) };
}

/** Adapters in the order in which they are numbered. */
function adaptersOfParams(adapters: Params["adapters"]) {
  return Object.entries(adapters).map(([name, path]) => ({ name, path }));
}

async function adapterBytes({ adapters }: Params): Promise<number> {
  const files = Object.values(adapters).flatMap(peftFiles);
  const sizes = await Promise.all(files.map(async (path) => (await Deno.stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function servedParams(options: DeploymentOptions): Record<string, unknown> {
  const said = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said.map(([name, value]) => [snakeName(name), value]));
}

/** The tokenizer of a model that may not be there yet. */
async function outlinedTokenizer(
  { tokenizer, config }: ModelOutline,
  { chatTemplate }: DeploymentOptions,
): Promise<ServedTokenizer> {
  if (typeof tokenizer === "string") {
    const { servedTokenizerOf } = await import("../serve/model_tokenizer.ts");
    return await servedTokenizerOf(tokenizer, chatTemplate);
  }
  if (!tokenizer) throw noTokenizer();
  const rows = architectureOf(config).config.vocabulary;
  const { openServedTokenizer, withTemplate } = await import("../serve/served_tokenizer.ts");
  const texts = withTemplate(new Map(), chatTemplate);
  return openServedTokenizer(tokenizer, texts, config, rows);
}

function noTokenizer(): TypeError {
  return new TypeError(
    "Cannot serve the model: it has no tokenizer.json, expected one beside its weights",
  );
}

function refusedTemplate(problem: string): TypeError {
  return new TypeError(`Cannot serve with "chat_template": ${problem}, expected one that works`);
}

function refuseOther(about: string, served: string): void {
  if (about === served) return;
  throw new TypeError(
    `Cannot state scores of another model: the report is about ${about.slice(0, 12)}, expected ${
      served.slice(0, 12)
    }; feed reports of the served model`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
