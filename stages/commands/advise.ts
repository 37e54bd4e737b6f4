import { fileURLToPath } from "node:url";
import {
  type Call,
  defineCommand,
  descriptionText,
  machineFlags,
  onInterrupt,
  readManifest,
  stagesOf,
  tellingErrors,
  UsageError,
} from "../../pipeline/cli/mod.ts";
import type { Description } from "../../pipeline/description.ts";
import type { Registry } from "../../pipeline/stage.ts";
import { messageOf } from "../../pipeline/errors.ts";
import { formatBytes, significant } from "../../pipeline/words.ts";
import { type AdviceWishes, Adviser, type RecipeAdvice } from "../advice.ts";
import { resolveFile, resolveModel } from "../formats/hub/hub.ts";
import { impliedHubPlace, parseHubPlace } from "../formats/hub/place.ts";
import { checkpointPlace } from "../models/checkpoint_place.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { memoryFor, openTools } from "../tools.ts";

/** The recipes that it tells of, from full precision to the fewest bits. */
const RECIPES = ["fp16", "smoothquant-dynamic", "gptq", "qoq-gchn", "qoq", "qoq-head", "quarot"];
/** The same of families whose residual stream cannot be rotated. */
const STILL: Readonly<Record<string, string>> = { qoq: "qoq-gemma" };

/** Sequences and tokens where nothing is said. */
const [BATCH, CONTEXT] = [1, 4096];
/** An answer is so much of a context, but no more than this. */
const [ANSWER_SHARE, ANSWER] = [1 / 4, 512];

/** Says what recipes would make of a model: bytes, sequences, speed, quality. */
export const advise = defineCommand({
  words: [[
    "<model>",
    "a checkpoint, org/name on the hub, of which its config is read, or embedded",
  ]],
  options: (command) =>
    void command
      .option("--batch <sequences>", "that run at once (1)", positive)
      .option(
        "--context <tokens>",
        "of each, prompt and answer together (4096, or the most)",
        positive,
      )
      .option("--output <tokens>", "of those, the answer's (a quarter, at most 512)", positive)
      .option("--group <values>", "that share a scale, in recipes with groups (128)", positive),
  run: tellingErrors(async (call) => {
    const { program, screen, flags, words: [word = ""], own } = call;
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      ask: () => screen.error("\nStopping\n"),
      leave: () => screen.error("\nStopped at once\n"),
    });
    const config = await configOf(word);
    const machine = machineFlags(flags);
    await using tools = openTools(machine);
    const device = await tools.device();
    const wishes = wishesOf(config, own, memoryFor(machine), controller.signal);
    const stages = await stagesOf(program);
    const adviser = new Adviser(device, stages, wishes);
    const group = own.group === undefined ? [] : [`group=${own.group}`];
    const told: (RecipeAdvice | Refused)[] = [];
    for (const recipe of recipesFor(config)) {
      controller.signal.throwIfAborted();
      const path = fileURLToPath(new URL(`../../configs/${recipe}.yaml`, import.meta.url));
      const found = await advice(adviser, recipe, { path, group, stages });
      told.push(found);
      if (flags.json) {
        screen.write(`${JSON.stringify({ type: "advice", model: word, ...found })}\n`);
      }
    }
    if (!flags.json) {
      screen.write(descriptionText(described(word, told, { wishes, device }), screen));
    }
    return told.every((one) => "why" in one) ? 1 : 0;
  }),
});

/** A recipe that a stage refuses for the model. */
interface Refused {
  readonly recipe: string;
  readonly why: string;
}

async function advice(
  adviser: Adviser,
  recipe: string,
  { path, group, stages }: {
    readonly path: string;
    readonly group: readonly string[];
    readonly stages: Registry;
  },
): Promise<RecipeAdvice | Refused> {
  const { params } = await readManifest(path, { stages, set: [] });
  const set = "group" in params ? group : [];
  const { steps } = await readManifest(path, { stages, set });
  try {
    return await adviser.advise(recipe, steps);
  } catch (error) {
    return { recipe, why: messageOf(error) };
  }
}

function recipesFor(config: unknown): readonly string[] {
  const type = String((config as { readonly model_type?: unknown }).model_type);
  return /^gemma/.test(type) ? RECIPES.map((recipe) => STILL[recipe] ?? recipe) : RECIPES;
}

/** `config.json` of a model, without its weights where the hub has it. */
async function configOf(word: string): Promise<unknown> {
  const said = checkpointPlace(word);
  const place = await impliedHubPlace(said) ?? said;
  const parsed = parseHubPlace(place);
  if (parsed === undefined) return await configIn(place);
  if (parsed.file !== undefined) return await configIn(await resolveModel(place));
  return JSON.parse(await Deno.readTextFile(await resolveFile(`${place}/config.json`)));
}

async function configIn(path: string): Promise<unknown> {
  using checkpoint = await openCheckpoint(path);
  return checkpoint.config;
}

function wishesOf(
  config: unknown,
  { batch = BATCH, context, output }: Call["own"],
  memoryBytes: number,
  signal: AbortSignal,
): AdviceWishes {
  const positions = Number(
    (config as { readonly max_position_embeddings?: unknown }).max_position_embeddings ?? CONTEXT,
  );
  const tokens = Number(context ?? Math.min(CONTEXT, positions));
  if (tokens > positions) {
    throw new RangeError(
      `Cannot advise on contexts of ${tokens} tokens: expected at most ${positions}, which the model was made for`,
    );
  }
  const answer = Number(output ?? Math.max(1, Math.min(ANSWER, Math.floor(ANSWER_SHARE * tokens))));
  if (answer >= tokens) {
    throw new RangeError(
      `Cannot advise on answers of ${answer} tokens: expected fewer than the ${tokens} of the context`,
    );
  }
  return { config, memoryBytes, batch: Number(batch), context: tokens, output: answer, signal };
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new UsageError(`Cannot take "${text}": expected a whole number above 0`);
}

function described(
  model: string,
  told: readonly (RecipeAdvice | Refused)[],
  { wishes: { batch, context, output, memoryBytes }, device }: {
    readonly wishes: AdviceWishes;
    readonly device: { readonly name: string };
  },
): Description {
  const number = true;
  const made = told.filter((one): one is RecipeAdvice => !("why" in one));
  const sources = new Map(
    made.flatMap(({ quality }) => quality ? [[quality.model, quality.source]] : []),
  );
  const recipe = { heading: "recipe" };
  return {
    title: `${model}: ${batch} x ${context} tokens in ${
      formatBytes(memoryBytes)
    } on ${device.name}`,
    sections: [{
      title: "Memory",
      table: {
        columns: [
          recipe,
          { heading: "precision" },
          { heading: "weights", number },
          { heading: "KV B/token", number },
          { heading: "fit", number },
          { heading: "takes", number },
        ],
        rows: made.map((one) => [
          one.recipe,
          one.scheme,
          formatBytes(one.weightBytes),
          String(Math.round(one.kvBytesPerToken)),
          String(one.sequences),
          one.memoryBytes === undefined ? "" : formatBytes(one.memoryBytes),
        ]),
      },
      notes: [
        "fit: sequences whose pages lie beside the weights",
        "takes: all memory of those that run",
      ],
    }, {
      title: "Speed and quality",
      table: {
        columns: [
          recipe,
          { heading: "prefill", number },
          { heading: "tokens/s", number },
          { heading: "perplexity", number },
          { heading: "as measured of" },
        ],
        rows: made.map((one) => [
          one.recipe,
          speed(one.prefill, one.timed),
          speed(one.decode, one.timed),
          one.quality ? `x ${one.quality.ratio.toFixed(3)}` : "",
          one.quality?.model ?? "",
        ]),
      },
      notes: [
        `prefill and tokens/s: prompts of ${context - output} tokens, answers of ${output}`,
        made.some(({ timed, decode }) => timed && decode !== undefined)
          ? "predicted from layers with made-up weights and this device's roofline"
          : "at most, by this device's roofline",
        ...made.some(({ batch: runs }) => runs < batch)
          ? [`where fewer than ${batch} fit, speed is of those that do`]
          : [],
        ...sources.size > 0
          ? ["perplexity: by that in half precision, of the nearest measured model"]
          : [],
        ...[...sources].map(([name, source]) => `${name}: ${source}`),
      ],
    }],
    warnings: told.flatMap((one) => "why" in one ? [`${one.recipe}: ${one.why}`] : []),
  };
}

function speed(rate: number | undefined, timed: boolean): string {
  if (rate === undefined) return "";
  return `${timed ? "" : "< "}${significant(rate, 3)}`;
}
