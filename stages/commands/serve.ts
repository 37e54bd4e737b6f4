import type { Command } from "commander";
import {
  type Call,
  defineCommand,
  machineFlags,
  onInterrupt,
  tellingErrors,
  UsageError,
} from "../../pipeline/cli/mod.ts";
import { memoryWords, type SizeWishes } from "../engine/engine_sizes.ts";
import type { Door } from "../serve/door.ts";
import { readModelCard, type ServedModel } from "../serve/model_card.ts";
import { readEngineWishes, serveOptions } from "../serve/options.ts";
import { serveModel } from "../serve/serve_model.ts";
import { memoryFor } from "../tools.ts";
import { findServed } from "./served_model.ts";

/** Answers HTTP requests from a model. */
export const serve = defineCommand({
  about: "Answer HTTP requests from a model, as OpenAI's API does",
  words: [[
    "[what]",
    "a manifest, an artifact's key or path, a run's id, last, or a checkpoint (a directory, a .gguf file, org/name on the hub); configs/qoq.yaml with the embedded model unless said",
  ]],
  options: addOptions,
  run: tellingErrors(async (call) => {
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      ask: () => call.screen.error("Stopping: requests under way are finished first\n"),
      leave: () => call.screen.error("\nStopped at once\n"),
    });
    const { signal } = controller;
    // What can be known is said before any step runs.
    const { own, flags } = call;
    const machine = machineFlags(flags);
    const wishes = readEngineWishes(wishesOf(own));
    const { openDoor } = await import("../serve/door.ts");
    await using door = await openDoor({ ...serverOptions(own), ...await keyOf(own) });
    const model = await findServed(call, signal);
    await serveFound(model, { call, machine, wishes, door, signal });
    return 0;
  }),
});

/** Bytes of a file with a key; what is longer is another file. */
const KEY_BYTES = 4096;

function addOptions(command: Command): void {
  const number = (text: string) => {
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    throw new UsageError(`Cannot take "${text}" as a number: expected one`);
  };
  const list = (text: string, before: readonly string[] = []) => [...before, ...text.split(",")];
  command
    .option("--step <name>", "with a manifest: serve this step's artifact, not the last model")
    .option("--host <address>", "listen here; others than loopback need a key (127.0.0.1)")
    .option("--port <number>", "listen here; 0 for any that is free (8000)", number)
    .option(
      "--api-key <key>",
      "requests must say it; a list of processes shows it, QUATTUOR_API_KEY or a file does not",
    )
    .option("--api-key-file <file>", "the same from a file")
    .option("--name <names>", "other names for the model", list)
    .option("--origin <urls>", "web pages whose scripts may ask; * for all", list)
    .option("--server-name <hosts>", "names under which it is asked without a key", list)
    .option("--context <tokens>", "longest prompt and answer together", number)
    .option("--sequences <number>", "requests that run at once", number)
    .option("--step-tokens <number>", "tokens a step of the engine takes on", number)
    .option(
      "--speculate <how>",
      "ngram: guess answers from what was said before, where few requests run; the same tokens",
    )
    .option("--queue <requests>", "requests that may wait; more get status 429", number)
    .option("--queue-tokens <number>", "tokens of prompts that may wait", number)
    .option("--max-tokens <number>", "most tokens of an answer", number)
    .option("--max-body <bytes>", "most bytes of a request", number)
    .option("--max-entries <number>", "most fields of a request, and entries of each", number)
    .option("--max-text <characters>", "most characters of the texts of a request", number)
    .option("--max-choices <number>", "most answers to one request", number)
    .option("--max-logprobs <number>", "most log-probabilities a token", number)
    .option("--max-scores <number>", "most log-probabilities of a whole answer", number)
    .option("--readers <threads>", "threads that make tokens of requests", number)
    .option("--read-time <seconds>", "give up making tokens of a request after this", number)
    .option("--timeout <seconds>", "give a request up after this", number)
    .option("--header-time <seconds>", "end a connection without headers after this", number)
    .option("--drain <seconds>", "time to finish when asked to stop (30)", number)
    .option("--tool-parser <name>", "how the model writes calls: as its template tells unless said")
    .option("--strict", "refuse fields of requests that are not known, and more tokens than fit");
}

/** Serves a model until the signal aborts. */
async function serveFound(
  model: ServedModel,
  { call: { screen, flags }, machine, wishes, door, signal }: {
    readonly call: Call;
    readonly machine: ReturnType<typeof machineFlags>;
    readonly wishes: SizeWishes;
    readonly door: Door;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { path, digest, name } = model;
  const tell = (type: string, text: string, facts: object) =>
    screen.write(flags.json ? `${JSON.stringify({ type, ...facts })}\n` : `${text}\n`);
  await serveModel({
    path,
    card: () => readModelCard(model),
    memoryBytes: memoryFor(machine),
    device: machine.device,
    wishes,
    door,
    signal,
  }, {
    warn: (text) => screen.error(`${text}\n`),
    log: (line) => screen.error(line),
    ready: (plan, device) => tell("engine", `${device}: ${memoryWords(plan)}`, { ...plan, device }),
    failed: (message, again) =>
      screen.error(`The engine was lost: ${message}${again ? "; it is started anew" : ""}\n`),
    hung: (message) => screen.error(`${message}\n`),
    listening: (url) =>
      tell("serving", `Serving ${name} at ${url}/v1, page at ${url}/`, {
        url,
        model: name,
        digest,
      }),
  });
}

function wishesOf(own: Call["own"]) {
  const number = (key: string) => own[key] as number | undefined;
  return {
    context: number("context"),
    sequences: number("sequences"),
    stepTokens: number("stepTokens"),
    speculate: own["speculate"],
    queueRequests: number("queue"),
    queueTokens: number("queueTokens"),
  };
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

/** Options under the names the server has for them; those of the engine are left out. */
function serverOptions(own: Call["own"]): Record<string, unknown> {
  const named = { names: own.name, origins: own.origin, hosts: own.serverName };
  const said = Object.entries({ ...own, ...named }).filter(([key, value]) =>
    value !== undefined && Object.hasOwn(serveOptions.shape, key)
  );
  return Object.fromEntries(said);
}
