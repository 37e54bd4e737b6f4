import { PAGE_TOKENS } from "../kernels/codes/kv_page.ts";
import type { Device } from "../kernels/device/device.ts";
import type { AnyStage, Facts, Registry } from "../pipeline/stage.ts";
import measured from "../configs/measured.json" with { type: "json" };
import { largestBatch, type Load, planBatch } from "./benchmark/batches.ts";
import { measureRates } from "./benchmark/device_rates.ts";
import type { Card } from "./benchmark/step_work.ts";
import { predictSteps } from "./benchmark/timed_step.ts";
import { EngineError } from "./engine/engine.ts";
import { EngineMemory } from "./engine/engine_memory.ts";
import { plannedBytes } from "./engine/engine_sizes.ts";
import { pagesOfLongest } from "./engine/kv_batch.ts";
import { kvSchemes, pageBytes } from "./engine/kv_pools.ts";
import { importedTensors } from "./exchange/incoming/open_import.ts";
import { headerFiles, type ModelOutline, plannedTensors, type TokensOutline } from "./facts.ts";
import { architectureOf } from "./models/architecture.ts";
import { schemeOf, sizesOf } from "./models/model_facts.ts";
import { shortScheme } from "./models/short_scheme.ts";
import { PLAIN } from "./models/model_record.ts";

/** A step of a recipe, as a manifest has it. */
export interface RecipeStep {
  readonly name: string;
  readonly stage: string;
  readonly params: unknown;
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
}

/** What is asked. */
export interface AdviceWishes {
  /** `config.json` of the model. */
  readonly config: unknown;
  /** Bytes for weights, a step and KV pages. */
  readonly memoryBytes: number;
  /** Sequences that are to run at once. */
  readonly batch: number;
  /** Tokens of each, prompt and answer together. */
  readonly context: number;
  /** Of those, tokens of the answer. */
  readonly output: number;
  readonly signal: AbortSignal;
}

/** What a recipe would make of a model. */
export interface RecipeAdvice {
  readonly recipe: string;
  /** Precision in the fewest words, such as `W4A8KV4 g128`. */
  readonly scheme: string;
  /** Bytes of its tensors, as they are stored. */
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  /** Sequences of the context that fit beside the weights. */
  readonly sequences: number;
  /** Of those asked for, how many run at once. */
  readonly batch: number;
  /** Bytes that the engine takes for them; none where not one fits. */
  readonly memoryBytes?: number;
  /** Tokens a second of prompts, and generated. */
  readonly prefill?: number;
  readonly decode?: number;
  /** Whether a trial with made-up weights tells the speed; else nothing can be faster. */
  readonly timed: boolean;
  readonly quality?: ExpectedQuality;
}

/** What a recipe cost a model that was measured. */
export interface ExpectedQuality {
  readonly model: string;
  /** Perplexity by that in half precision. */
  readonly ratio: number;
  readonly source: string;
}

/** Tokens that a step takes on of a prompt. */
const CHUNK = { cpu: 256, gpu: 2048 } as const;

/** Says of recipes, one after another, what they would make of a model; throws what a stage refuses. */
export class Adviser {
  readonly #device: Device;
  readonly #stages: Registry;
  readonly #wishes: AdviceWishes;
  readonly #source: ModelOutline;
  #card?: Card;

  constructor(device: Device, stages: Registry, wishes: AdviceWishes) {
    this.#device = device;
    this.#stages = stages;
    this.#wishes = wishes;
    this.#source = loadedFacts(wishes.config);
  }

  /** What a recipe would make; a model that the device cannot hold has no speed. */
  async advise(recipe: string, steps: readonly RecipeStep[]): Promise<RecipeAdvice> {
    const { memoryBytes, context, output, signal } = this.#wishes;
    const files = headerFiles(await this.#forecastModel(steps));
    const { architecture: { config }, record } = files;
    const { parameters, bytes: weightBytes } = sizesOf(files.checkpoint, files.architecture);
    const quality = nearestQuality(recipe, { family: familyOf(this.#wishes.config), parameters });
    const scheme = shortScheme(schemeOf(files));
    const facts = {
      recipe,
      scheme,
      weightBytes,
      kvBytesPerToken: pageBytes(config, kvSchemes(config, record)) / PAGE_TOKENS,
      ...quality && { quality },
    };
    const { limits } = this.#device;
    const memory = new EngineMemory(limits, files);
    const load = { prompt: context - output, output, memoryBytes };
    const sequences = await fittingSequences(memory, { load, batch: this.#wishes.batch });
    const batch = Math.min(sequences, this.#wishes.batch);
    if (batch === 0) return { ...facts, sequences, batch, timed: false };
    const planned = plannedBytes(await planBatch(memory, load, batch));
    const chunk = Math.min(load.prompt, CHUNK[limits.adapter]);
    // A prompt's chunks see half of it at the mean, an answer's tokens half of it behind the prompt.
    const trials = [
      { batch: 1, queries: chunk, keys: Math.max(chunk, Math.round(load.prompt / 2)) },
      { batch, queries: 1, keys: load.prompt + Math.ceil(output / 2) },
    ];
    const card = this.#card ??= await measureRates(this.#device);
    const wanted = { steps: trials, card, memoryBytes, signal };
    const { seconds, timed } = await predictSteps(this.#device, files, wanted);
    return {
      ...facts,
      sequences,
      batch,
      memoryBytes: planned,
      prefill: chunk / seconds[0]!,
      decode: batch / seconds[1]!,
      timed,
    };
  }

  /** The facts of the model that a recipe evaluates last, by the forecasts of its steps. */
  async #forecastModel(steps: readonly RecipeStep[]): Promise<ModelOutline> {
    const byName = new Map(steps.map((step) => [step.name, step]));
    const known = new Map<string, Promise<Facts>>();
    const factsOf = (name: string): Promise<Facts> => {
      const found = known.get(name) ?? make(byName.get(name)!);
      known.set(name, found);
      return found;
    };
    const bounds = { memoryBytes: this.#wishes.memoryBytes, limits: this.#device.limits };
    const make = async ({ stage: name, params, inputs }: RecipeStep): Promise<Facts> => {
      if (name === "load") return this.#source;
      if (name === "tokenize") return { count: Infinity } satisfies TokensOutline;
      const stage = this.#stages[name] as AnyStage;
      const given = await Promise.all(
        Object.keys(stage.inputs).map(async (input) => {
          const from = inputs[input];
          if (from === undefined) return [input, undefined] as const;
          if (typeof from === "string") return [input, await factsOf(from)] as const;
          return [input, await Promise.all(from.map(factsOf))] as const;
        }),
      );
      return (await stage.forecast!(Object.fromEntries(given), params, bounds)).facts;
    };
    const last = steps.findLast(({ stage }) => stage === "evaluate")?.inputs.model;
    return await factsOf(String(last)) as ModelOutline;
  }
}

/** What `load` makes of a model of a config, by headers that nobody needs to have. */
function loadedFacts(config: unknown): ModelOutline {
  const tensors = importedTensors({ config, record: PLAIN, linears: {} }, "float16");
  return {
    config,
    tensors: plannedTensors(tensors),
    record: PLAIN,
    textBytes: 0,
    lineageBytes: 0,
    tokenizer: undefined,
  };
}

/** Sequences whose pages fit beside weights and a step of the batch; all that fit where they are fewer. */
async function fittingSequences(
  memory: EngineMemory,
  { load, batch }: { readonly load: Load; readonly batch: number },
): Promise<number> {
  const beside = await refusedAs(0, async () => {
    const { weightBytes, workspaceBytes } = await planBatch(memory, load, batch);
    const pages = memory.pagesWithin(load.memoryBytes - weightBytes - workspaceBytes);
    return Math.floor(pages / pagesOfLongest(load.prompt + load.output, memory.sinks));
  });
  if (beside >= batch) return beside;
  return await refusedAs(0, () => largestBatch(memory, load, batch));
}

/** What work gives, or a value where the engine refuses. */
async function refusedAs(value: number, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EngineError) return value;
    throw error;
  }
}

/** What a recipe cost the measured model that is nearest: one of the same family, of like size. */
function nearestQuality(
  recipe: string,
  { family, parameters }: { readonly family: unknown; readonly parameters: number },
): ExpectedQuality | undefined {
  if (recipe === HALF) return undefined;
  const found = measured.flatMap(({ model, half, source, recipes, ...of }) => {
    const scores: Readonly<Record<string, number | undefined>> = recipes;
    const perplexity = scores[recipe] ?? scores[OTHER_NAMES[recipe] ?? ""];
    if (perplexity === undefined) return [];
    const other = of.family === family ? 0 : Math.log(OTHER_FAMILY);
    const distance = Math.abs(Math.log(parameters / of.parameters)) + other;
    return [{ model, source, ratio: perplexity / half, distance }];
  }).sort((a, b) => a.distance - b.distance)[0];
  return found && { model: found.model, source: found.source, ratio: found.ratio };
}

const HALF = "fp16";
/** Another family is as far as so many times the parameters. */
const OTHER_FAMILY = 4;
/** What was measured in the place of a recipe that was not: the same bits. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  "smoothquant-dynamic": "smoothquant-static",
};

function familyOf(config: unknown): unknown {
  return architectureOf(config).json.model_type;
}
