import { basename } from "node:path";
import type { Command } from "commander";
import { commandAgain } from "../again.ts";
import { UsageError } from "../command_line.ts";
import { fitting } from "../fitting.ts";
import { onInterrupt } from "../interrupt.ts";
import { HERE, openSharedStore, sizeCap } from "../open_store.ts";
import { namedStep } from "../selected_steps.ts";
import { tellingErrors } from "../told_error.ts";
import { findTarget } from "../../tell/inspect/target.ts";
import { type Manifest, readManifest } from "../../manifest/manifest.ts";
import { run as runSteps } from "../../run/runner.ts";
import { allRuns, Runs } from "../../store/runs.ts";
import { selectSteps } from "../../manifest/selection.ts";
import type { ServedArtifact, Serving } from "../../serving.ts";
import type { Store } from "../../store/store.ts";
import { readRecord } from "../../store/record.ts";
import { tellJson, tellPeople } from "../../tell/terminal.ts";
import { type Call, defineCommand } from "./command.ts";

/** Answers HTTP requests from a model. */
export const serve = defineCommand({
  about: "Answer HTTP requests from a model, as OpenAI's API does",
  words: [[
    "[what]",
    "a manifest, an artifact's key or path, a run's id, last, or a checkpoint (a directory, a .gguf file, hf:org/name); configs/qoq.yaml with the embedded model unless said",
  ]],
  options: addOptions,
  run: (call) =>
    tellingErrors(call, async () => {
      const { serving } = call.program;
      if (!serving) throw new UsageError("Cannot serve: this program has nothing that serves");
      const controller = new AbortController();
      using _interrupt = onInterrupt(controller, {
        ask: () => call.screen.error("Stopping: requests under way are finished first\n"),
        leave: () => call.screen.error("\nStopped at once\n"),
      });
      const { signal } = controller;
      const artifact = await findArtifact(call, serving, signal);
      const { memory, json } = call.flags;
      const { own: options, screen } = call;
      return await serving.serve(artifact, {
        options,
        screen,
        json: json ?? false,
        signal,
        ...memory !== undefined && { memory },
      });
    }),
});

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
    .option("--api-key <key>", "requests must say it (or QUATTUOR_API_KEY)")
    .option("--name <names>", "other names for the model", list)
    .option("--origin <urls>", "web pages whose scripts may ask; * for all", list)
    .option("--server-name <hosts>", "names under which it is asked without a key", list)
    .option("--context <tokens>", "longest prompt and answer together", number)
    .option("--sequences <number>", "requests that run at once", number)
    .option("--step-tokens <number>", "tokens a step of the engine takes on", number)
    .option("--queue <requests>", "requests that may wait; more get status 429", number)
    .option("--queue-tokens <number>", "tokens of prompts that may wait", number)
    .option("--max-tokens <number>", "most tokens of an answer", number)
    .option("--max-body <bytes>", "most bytes of a request", number)
    .option("--timeout <seconds>", "give a request up after this", number)
    .option("--drain <seconds>", "time to finish when asked to stop (30)", number)
    .option("--strict", "refuse fields of requests that are not known");
}

async function findArtifact(
  call: Call,
  serving: Serving,
  signal: AbortSignal,
): Promise<ServedArtifact> {
  const { words: [word], flags } = call;
  const { kind, manifest, source } = serving;
  if (word === undefined) return await fromManifest(call, serving, { path: manifest, signal });
  if (/\.ya?ml$/.test(word)) return await fromManifest(call, serving, { path: word, signal });
  const load = () => {
    const set = [...flags.set, `${source.param}=${word}`];
    return fromManifest(call, serving, {
      path: source.manifest,
      set,
      name: basename(word),
      signal,
    });
  };
  if (word.startsWith("hf:")) return await load();
  const store = await openSharedStore(HERE, flags);
  const target = await findTarget(word, store, { verb: "serve" });
  if (target.what === "place") return await load();
  if (target.what === "artifact" && target.file === undefined) {
    const read = await readRecord(target.path, target.key);
    if ("why" in read) throw new Error(`Cannot serve ${target.path}: ${read.why}`);
    if (read.record.kind === "export") return await load();
    if (read.record.kind === kind) {
      return await described(target.store ?? store, { ...target, name: target.key.slice(0, 12) });
    }
    throw new Error(`Cannot serve "${word}": it is a ${read.record.kind}, expected a ${kind}`);
  }
  if (target.what === "run") {
    for (const { name, key } of target.run.steps.toReversed()) {
      const found = key === undefined ? undefined : await keyOfKind(target.store, key, kind);
      if (found) return await described(target.store, { ...found, name });
    }
    throw new Error(`Cannot serve run ${target.run.id}: it has no ${kind}, expected one`);
  }
  throw new Error(
    `Cannot serve "${word}": it is a ${target.what}, expected a manifest, an artifact, a run or a checkpoint`,
  );
}

/** Makes what a manifest needs for one of its steps, and gives that step's artifact. */
async function fromManifest(
  call: Call,
  { kind }: Serving,
  { path, set = call.flags.set, name, signal }: {
    readonly path: string;
    readonly set?: Call["flags"]["set"];
    readonly name?: string;
    readonly signal: AbortSignal;
  },
): Promise<ServedArtifact> {
  const { program: { stages, tools }, screen, flags, own } = call;
  const manifest = await readManifest(path, { stages, set });
  const step = stepOf(manifest, { kind, asked: own.step, stages });
  const store = await openSharedStore(path, flags);
  const telling = { detail: "quiet", again: commandAgain(call.args) } as const;
  {
    using tell = flags.json ? tellJson(screen, telling) : tellPeople(screen, telling);
    const { ok } = await runSteps(manifest, {
      store,
      stages,
      tools: () => tools(flags.memory === undefined ? {} : { memory: flags.memory }),
      emit: tell.emit,
      signal,
      selected: selectSteps(manifest, { until: [step] }),
      maxBytes: sizeCap(flags),
      ...fitting(call),
    });
    if (!ok) throw new Error(`Cannot serve ${path}: its steps were not made, see above`);
  }
  const key = (await Runs.open(store.path, path)).lastStep(step)?.key;
  const found = key === undefined ? undefined : await keyOfKind(store, key, kind);
  if (!found) throw new Error(`Cannot serve step "${step}": its ${kind} is gone, expected it`);
  return await described(store, { ...found, name: name ?? step });
}

function stepOf(
  manifest: Manifest,
  { kind, asked, stages }: {
    readonly kind: string;
    readonly asked: unknown;
    readonly stages: Call["program"]["stages"];
  },
): string {
  if (typeof asked === "string") return namedStep(manifest, asked);
  const last = manifest.steps.findLast(({ stage }) => stages[stage]?.output === kind);
  if (last) return last.name;
  throw new Error(`Cannot serve ${manifest.path}: no step makes a ${kind}, expected one`);
}

async function keyOfKind(
  store: Store,
  key: string,
  kind: string,
): Promise<{ readonly key: string; readonly path: string } | undefined> {
  const path = `${store.path}/artifacts/${key}`;
  const read = await readRecord(path, key);
  return "record" in read && read.record.kind === kind ? { key, path } : undefined;
}

async function described(
  store: Store,
  { key, path, name }: { readonly key: string; readonly path: string; readonly name: string },
): Promise<ServedArtifact> {
  const read = await readRecord(path, key);
  if ("why" in read) throw new Error(`Cannot serve ${path}: ${read.why}`);
  const { digest } = read.record;
  const made = new Map<string, string>();
  for (const { steps } of await allRuns(store.path)) {
    for (const { stage, key, recipe } of steps) {
      const inputs = Object.values(recipe?.inputs ?? {}).flat();
      if (key !== undefined && inputs.includes(digest)) {
        made.set(`${store.path}/artifacts/${key}`, stage);
      }
    }
  }
  return { path, digest, name, made: [...made].map(([path, stage]) => ({ stage, path })) };
}
