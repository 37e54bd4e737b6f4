import { CountingDevice } from "../../kernels/device/counting.ts";
import type { Limits } from "../../kernels/device/limits.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import { firstLayers, headersOf, layersThatDiffer } from "../models/peaks.ts";
import { KvPools, kvSchemes, mostPages, sinksOf } from "./kv_pools.ts";
import { recordEveryStep, runLargestSteps, type StepWishes } from "./largest_steps.ts";

/**
 * What an engine of a model takes of the memory of a device with these limits. Its own code runs on a
 * device that counts, over headers.
 */
export class EngineMemory {
  readonly limits: Limits;
  readonly files: ModelFiles;

  constructor(limits: Limits, files: ModelFiles) {
    this.limits = limits;
    this.files = headersOf(files);
  }

  /** First tokens of every sequence whose keys and values stay in half precision. */
  get sinks(): number {
    return sinksOf(this.files.record);
  }

  /** Bytes of all weights, and of what steps take beside weights and pages. */
  async count(
    wishes: StepWishes,
  ): Promise<{ readonly weightBytes: number; readonly workspaceBytes: number }> {
    await using device = new CountingDevice(this.limits);
    using model = Model.of(device, this.files, { weightBytes: Infinity });
    await model.loadWhole();
    const weightBytes = device.memory.held;
    const steps = await runLargestSteps(device, model, wishes) - this.pageBytes(1);
    return { weightBytes, workspaceBytes: steps + await this.#recorded(wishes) };
  }

  /** The most pages that fit into so many bytes; 0 where none does. */
  pagesWithin(bytes: number): number {
    const { record, architecture: { config } } = this.files;
    let [fitting, failing] = [0, mostPages(this.limits, config, kvSchemes(config, record)) + 1];
    while (failing - fitting > 1) {
      const middle = Math.floor((fitting + failing) / 2);
      if (this.pageBytes(middle) <= bytes) fitting = middle;
      else failing = middle;
    }
    return fitting;
  }

  /** Bytes of so many pages in all layers. */
  pageBytes(pages: number): number {
    const device = new CountingDevice(this.limits);
    const before = device.memory.held;
    const { record, architecture: { config } } = this.files;
    using _pools = new KvPools(device, config, { schemes: kvSchemes(config, record), pages });
    return device.memory.held - before;
  }

  /** On record, memory is free as soon as it was given back, so that layers alike add nothing. */
  async #recorded(wishes: StepWishes): Promise<number> {
    await using device = new CountingDevice(this.limits);
    const few = firstLayers(this.files, layersThatDiffer(this.files).length);
    using model = Model.of(device, few, { weightBytes: Infinity });
    await model.loadWhole();
    return await recordEveryStep(device, model, wishes);
  }
}
