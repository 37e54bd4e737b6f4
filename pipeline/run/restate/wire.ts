import { z } from "zod";
import type { KeyDocument } from "../../artifact.ts";

/** The object per artifact: one order at a time for each key. */
export const ARTIFACTS = "artifact";
/** The object that knows the workers and who waits for one. */
export const WORKERS = "workers";
/** The one key of {@linkcode WORKERS}. */
export const EVERY = "all";
/** The one key of a worker's object: its device, which serves one order at a time. */
export const DEVICE = "device";

/** Code of an order that failed for good: its stage threw, or it is not what it says. */
export const FAILED_CODE = 422;
/** Code of an order that a worker gives back because it goes away. */
export const LEAVING_CODE = 503;

/** Directory of the store in which workers tell those who ordered how far they are. */
export const ORDERS_DIRECTORY = "orders";

const key = z.string().regex(/^[0-9a-f]{64}$/);

/** What {@linkcode WireOrder} must be; a worker trusts nothing that is not checked here or later. */
export const wireOrder = z.strictObject({
  /** Of this order; asking twice under one id makes one order. */
  id: z.uuid(),
  /** Of the artifact. */
  key,
  step: z.string(),
  stage: z.string(),
  params: z.unknown(),
  recipe: z.looseObject({
    stage: z.string(),
    version: z.number(),
    params: z.unknown(),
    inputs: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  }),
  /** Keys of artifacts by input: each machine has its own path to the store. */
  inputs: z.record(z.string(), z.union([key, z.array(key)])),
  again: z.boolean(),
});

/** An order as it travels: data only, no path of the machine it comes from. */
export type WireOrder = Omit<z.infer<typeof wireOrder>, "recipe"> & {
  readonly recipe: KeyDocument;
};

/** What a worker answers; the artifact itself lies in the store. */
export interface Answer {
  readonly digest: string;
  /** False where somebody else had just made it. */
  readonly made: boolean;
  readonly worker: string;
}

/** What a worker must say of itself. */
export const workerCard = z.strictObject({
  /** Name of its service. */
  name: z.string().regex(/^worker_[0-9a-f]{8}$/),
  /** Where the server reaches it. */
  uri: z.url(),
  host: z.string(),
  pid: z.int(),
});

/** A worker as the others know it. */
export type WorkerCard = z.infer<typeof workerCard>;
