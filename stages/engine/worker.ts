/// <reference lib="deno.worker" />
import { setImmediate } from "node:timers/promises";
import { Gpu } from "../../kernels/device/gpu.ts";
import { Model } from "../models/model.ts";
import { EngineError } from "./engine.ts";
import { EngineLoop } from "./engine_loop.ts";
import { EngineMemory } from "./engine_memory.ts";
import { planMemory, plannedBytes } from "./engine_sizes.ts";
import type { FromWorker, StartOptions, ToWorker } from "./messages.ts";

/** The engine of this worker, once it is started. */
let loop: EngineLoop | undefined;
let device: Gpu | undefined;
let mostBytes = Infinity;
let driving = false;

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "start":
      return void start(data.options).catch(fail);
    case "add":
      return add(data);
    case "abort":
      loop?.abort(data.id);
      return;
    case "lose device":
      return device?.lose();
  }
};

function tell(message: FromWorker): void {
  self.postMessage(message);
}

/** The worker ends with its device and all it holds, so nothing is given back one by one. */
function fail(error: unknown): void {
  tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
}

async function start({ path, memoryBytes, wishes }: StartOptions): Promise<void> {
  device = await Gpu.open();
  const model = await Model.open(path, device, { weightBytes: Infinity });
  const memory = new EngineMemory(device.limits, model);
  const plan = await planMemory(memory, { memoryBytes, wishes });
  mostBytes = plannedBytes(plan);
  await model.load();
  loop = new EngineLoop(device, model, plan.sizes);
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
  if (!driving) void drive(loop).catch(fail);
}

/** Runs steps as long as there is work; between two of them messages have their turn. */
async function drive(loop: EngineLoop): Promise<void> {
  driving = true;
  try {
    while (!loop.idle) {
      const events = await loop.step();
      tell({ type: "events", events, stats: loop.stats });
      // Free buffers of every size that steps have had add up.
      if (device && device.memory.held > mostBytes) device.trim();
      await setImmediate();
    }
    tell({ type: "events", events: [], stats: loop.stats });
  } finally {
    driving = false;
  }
}
