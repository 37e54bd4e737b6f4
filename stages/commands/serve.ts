import type { Command } from "commander";
import {
  type Call,
  defineCommand,
  machineFlags,
  onHangup,
  onInterrupt,
  tellingErrors,
  UsageError,
} from "../../pipeline/cli/mod.ts";
import { memoryWords } from "../engine/engine_sizes.ts";
import { refuseEngine } from "../engine/shared_memory.ts";
import { readPeftAdapter } from "../formats/peft.ts";
import { chatTemplateText } from "../serve/chat_template_text.ts";
import type { Door } from "../serve/door.ts";
import { readModelCard } from "../serve/model_card.ts";
import {
  deploymentOptions,
  readServeOptions,
  type ServeOptions,
  serveOptions,
  wishesOf,
} from "../serve/options.ts";
import { type ModelCall, serveModels } from "../serve/serve_model.ts";
import { refuseStopTokens, tokensOf } from "../serve/stop_tokens.ts";
import { memoryFor } from "../tools.ts";
import { fromSnake } from "../serve/snake_names.ts";
import { addSchemaOptions, type OptionForm, saidOf } from "./schema_options.ts";
import { findServed, type ModelDemand } from "./served_model.ts";

/** Answers HTTP requests from a model. */
export const serve = defineCommand({
  words: [[
    "[what]",
    "a manifest, an artifact's key or path, a run's id, last, or a checkpoint (a directory, a .gguf file, org/name on the hub); configs/qoq.yaml with the embedded model unless said",
  ]],
  options: addOptions,
  run: tellingErrors(async (call) => {
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      reload: true,
      ask: () => call.screen.error("Stopping: requests under way are finished first\n"),
      leave: () => call.screen.error("\nStopped at once\n"),
    });
    const { signal } = controller;
    // What can be known is said before any step runs.
    const { own, flags } = call;
    const machine = machineFlags(flags);
    const said = await withTemplateText({ ...saidOf(own, OPTIONS, FORMS), ...await keyOf(own) });
    const { openDoor } = await import("../serve/door.ts");
    await using door = await openDoor(said);
    const models = await findModels(call, { said, door, machine, signal });
    const find = async () => {
      const key = await keyOf(own);
      return await findModels(call, { said: { ...said, ...key }, door, machine, signal });
    };
    await serveFound(models, { call, machine, find, door, signal });
    return 0;
  }),
});

/** Bytes of a file with a key; what is longer is another file. */
const KEY_BYTES = 4096;

/** Options whose names are not those of their fields; the device is an option of all commands. */
const FORMS: Readonly<Record<string, OptionForm>> = {
  names: { flag: "name" },
  origins: { flag: "origin" },
  hosts: { flag: "server-name" },
  stop: { whole: true },
};
const OPTIONS = serveOptions.omit({ device: true });

function addOptions(command: Command): void {
  command
    .option("--step <name>", "with a manifest: serve this step's artifact, not the last of them")
    .option("--api-key-file <file>", "the API key from a file")
    .option(
      "--model <name=artifact>",
      "serve this under the name, in the place of the word; may be repeated: models share --memory",
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option(
      "--adapter <name=directory>",
      "a LoRA adapter of PEFT on the model, for requests that ask for its name; may be repeated",
      (text: string, before: readonly string[] = []) => [...before, text],
    );
  addSchemaOptions(command, OPTIONS, FORMS);
}

/** The models that the command line names, and how each is served. */
async function findModels(
  call: Call,
  { said, door, machine, signal }: {
    readonly said: Readonly<Record<string, unknown>>;
    readonly door: Door;
    readonly machine: ReturnType<typeof machineFlags>;
    readonly signal: AbortSignal;
  },
): Promise<readonly FoundModel[]> {
  const named = namedModels(call);
  const adapters = pairsOf("adapter", call.own.adapter)
    .map(({ name, word }) => ({ name, path: word }));
  if (adapters.length > 0 && named.length > 1) {
    throw new UsageError(
      `Cannot tell whose adapters they are: ${named.length} models are served, expected one with --adapter`,
    );
  }
  const asked = optionsFor(undefined, said, door);
  refuseTwice(named.map(({ name }) => ({ name, options: asked, adapters })));
  for (const { path } of adapters) await readPeftAdapter(path);
  const demand: ModelDemand = async (headers, stated) => {
    const options = optionsFor(stated, said, door);
    refuseStopTokens(options, tokensOf(headers.config));
    const device = machine.device ?? options.device;
    await refuseEngine(
      headers,
      { adapters, device, wishes: wishesOf(options) },
      memoryFor(machine),
    );
  };
  const looked = await Promise.all(
    named.map(async ({ name, word }) => ({ name, served: await findServed(call, word, demand) })),
  );
  // What is wrong with one of several is said before the others are made.
  if (looked.length > 1) { for (const { served } of looked) await served.refuse(signal); }
  const found: FoundModel[] = [];
  for (const { name, served } of looked) {
    const opened = await served.open(signal);
    const model = name === undefined ? opened : { ...opened, name };
    const options = optionsFor(model.deployment?.served, said, door);
    found.push({
      name: model.name,
      path: model.path,
      digest: model.digest,
      device: machine.device ?? options.device,
      options,
      adapters: [...model.adapters ?? [], ...adapters],
      card: () => readModelCard(model),
    });
  }
  refuseTwice(found);
  return found;
}

/** A model with what is told when it is served. */
interface FoundModel extends ModelCall {
  readonly digest: string;
}

/** What `--model` says, else the one that the word after the command does. */
function namedModels(
  { words: [word], own: { model } }: Call,
): readonly { readonly name?: string; readonly word: string | undefined }[] {
  const said = (model ?? []) as readonly string[];
  if (said.length === 0) return [{ word }];
  if (word !== undefined) {
    throw new UsageError(`Cannot serve "${word}" beside --model: expected --model for all of them`);
  }
  return pairsOf("model", said);
}

/** What an option of names and places says. */
function pairsOf(option: "model" | "adapter", said: unknown = []) {
  return (said as readonly string[]).map((text) => {
    const [, name, word] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (name !== undefined && word !== undefined) return { name, word };
    throw new UsageError(`Cannot serve "--${option} ${text}": expected name=${PLACES[option]}`);
  });
}

/** What names stand for. */
const PLACES = { model: "artifact", adapter: "directory" } as const;

/** What requests call a model and its adapters, as far as it is known. */
interface NamedModel extends Pick<ModelCall, "adapters"> {
  readonly name?: string | undefined;
  readonly options: Pick<ServeOptions, "names">;
}

/** Requests tell models apart by their names. */
function refuseTwice(models: readonly NamedModel[]): void {
  const seen = new Map<string, string>();
  for (const { name = "the model", options, adapters = [] } of models) {
    for (
      const each of [
        ...new Set([name, ...options.names]),
        ...adapters.map(({ name }) => name),
      ]
    ) {
      const other = seen.get(each);
      if (other !== undefined) {
        throw new UsageError(
          `Cannot serve two models under the name "${each}": ${other} has it, expected another for ${name}`,
        );
      }
      seen.set(each, name);
    }
  }
}

/** Serves models until the signal aborts. */
async function serveFound(
  models: readonly FoundModel[],
  { call: { screen, flags }, machine, find, door, signal }: {
    readonly call: Call;
    readonly machine: ReturnType<typeof machineFlags>;
    readonly find: () => Promise<readonly FoundModel[]>;
    readonly door: Door;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const tell = (type: string, text: string, facts: object) =>
    screen.write(flags.json ? `${JSON.stringify({ type, ...facts })}\n` : `${text}\n`);
  const [{ name, digest, options }, ...others] = models as [FoundModel];
  const names = [name, ...others.map(({ name }) => name)];
  await serveModels({
    models,
    memoryBytes: memoryFor(machine),
    door,
    signal,
    log: { level: options.logLevel, people: !flags.json && Deno.stderr.isTerminal() },
    again: { find, asked: onHangup },
  }, {
    warn: (text) => screen.error(`${text}\n`),
    log: (line) => screen.error(line),
    ready: (plan, device, model) =>
      tell("engine", `${others.length > 0 ? `${model}, ` : ""}${device}: ${memoryWords(plan)}`, {
        ...plan,
        device,
        model,
      }),
    failed: (message, again) =>
      screen.error(`The engine was lost: ${message}${again ? "; it is started anew" : ""}\n`),
    hung: (message) => screen.error(`${message}\n`),
    replaced: (text) => tell("replaced", text, { text }),
    listening: (url) =>
      tell("serving", `Serving ${names.join(", ")} at ${url}/v1, page at ${url}/`, {
        url,
        model: name,
        digest,
        models: names,
      }),
  });
}

/** What was said with the chat template as text. */
async function withTemplateText(
  said: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const { chatTemplate } = said;
  if (typeof chatTemplate !== "string") return { ...said };
  return { ...said, chatTemplate: await chatTemplateText(chatTemplate) };
}

/** What a deployment says, and before that what the command line does. */
function optionsFor(
  stated: Readonly<Record<string, unknown>> | undefined,
  said: Readonly<Record<string, unknown>>,
  { options: { apiKey } }: Door,
): ServeOptions {
  const own = stated ? fromSnake(deploymentOptions, stated) : {};
  const key = said.apiKey ?? apiKey;
  return readServeOptions({ ...own, ...said, ...key !== undefined && { apiKey: key } });
}

/** The key of the file that `--api-key-file` names. */
async function keyOf({ apiKeyFile: path, apiKey }: Call["own"]): Promise<{ apiKey?: string }> {
  if (path === undefined) return {};
  const refuse = (is: string, expected: string) =>
    new UsageError(`Cannot take the API key from ${path}: ${is}, expected ${expected}`);
  if (apiKey !== undefined) throw refuse("--api-key says another", "one of the two");
  const info = await Deno.stat(String(path)).catch(() => undefined);
  if (!info?.isFile) throw refuse(info ? "it is no file" : "there is none", "a file");
  if (info.size > KEY_BYTES) throw refuse(`it has ${info.size} bytes`, `at most ${KEY_BYTES}`);
  const key = (await Deno.readTextFile(String(path))).trim();
  if (key === "" || /\s/.test(key)) {
    throw refuse(key === "" ? "it is empty" : "it has several words", "the key alone");
  }
  return { apiKey: key };
}
