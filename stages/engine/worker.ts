/// <reference lib="deno.worker" />
import { setImmediate } from "node:timers/promises";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { messageOf } from "../../pipeline/errors.ts";
import { Model } from "../models/model.ts";
import { EngineError } from "./engine.ts";
import { EngineLoop } from "./engine_loop.ts";
import { EngineMemory } from "./engine_memory.ts";
import { planMemory, plannedBytes } from "./engine_sizes.ts";
import { GrammarThread } from "./grammar_thread.ts";
import type { FromWorker, StartOptions, ToWorker } from "./messages.ts";

/** The engine of this worker, once it is started. */
let loop: EngineLoop | undefined;
let device: Awaited<ReturnType<typeof openTunedDevice>> | undefined;
let grammars: GrammarThread | undefined;
let mostBytes = Infinity;
/** Ends when the engine has nothing to do. */
let driven: Promise<void> | undefined;
let closing = false;

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "start":
      return void start(data.options).catch(fail);
    case "add":
      return add(data);
    case "abort":
      loop?.abort(data.id);
      return;
    case "close":
      return void close();
    case "lose device":
      return device?.lose();
  }
};

function tell(message: FromWorker): void {
  self.postMessage(message);
}

/**
 * Closes the device before the worker ends: what a driver still does in a thread of its own must not
 * outlive it. Tensors go with the device, so what it says of them is not heard.
 */
async function close(): Promise<void> {
  closing = true;
  grammars?.[Symbol.dispose]();
  await driven;
  await device?.[Symbol.asyncDispose]().catch(() => {});
  tell({ type: "closed" });
}

function fail(error: unknown): void {
  tell({ type: "failed", message: messageOf(error) });
}

async function start(
  {
    path,
    adapters = [],
    memoryBytes,
    wishes,
    device: choice,
    choices,
    vocabulary,
    grammarSeconds = 10,
  }: StartOptions,
): Promise<void> {
  device = await openTunedDevice(choice);
  const model = await Model.open(path, device, { weightBytes: Infinity, adapters });
  const memory = new EngineMemory(device.limits, model);
  const plan = await planMemory(memory, { memoryBytes, wishes });
  mostBytes = plannedBytes(plan);
  await model.loadWhole();
  if (vocabulary) grammars = new GrammarThread(vocabulary, { seconds: grammarSeconds });
  loop = new EngineLoop(device, model, plan.sizes, { choices, grammars });
  tell({ type: "events", events: [], stats: loop.stats });
  tell({ type: "ready", plan, device: device.name });
}

function add({ id, request }: Extract<ToWorker, { readonly type: "add" }>): void {
  try {
    if (!loop) throw new EngineError("unavailable", "Cannot run a request: the engine is loading");
    loop.add(id, request);
  } catch (error) {
    const { why, message } = error instanceof EngineError
      ? error
      : { why: "failed" as const, message: String(error) };
    tell({ type: "refused", id, why, message });
    return;
  }
  driven ??= drive(loop).catch(fail).finally(() => driven = undefined);
}

/** Runs steps as long as there is work; between two of them messages have their turn. */
async function drive(loop: EngineLoop): Promise<void> {
  while (!loop.idle && !closing) {
    const events = await loop.step();
    tell({ type: "events", events, stats: loop.stats });
    for (const [id, { why, message }] of loop.refused()) {
      tell({ type: "refused", id, why, message });
    }
    // Free buffers of every size that steps have had add up.
    if (device && device.memory.held > mostBytes) device.trim();
    await setImmediate();
  }
  tell({ type: "events", events: [], stats: loop.stats });
}
