import { openCheckpoint } from "../models/open_checkpoint.ts";
import { architectureOf } from "../models/architecture.ts";
import { describeModel } from "../models/model_facts.ts";
import type { Deployment } from "../report/deployment.ts";
import { readEvaluation } from "../report/evaluation.ts";
import { type MeasuredQuality, qualityOf } from "../report/quality.ts";

/** What a server tells of its model. */
export interface ModelCard {
  /** Under which requests ask for it. */
  readonly name: string;
  /** The model that it is an adapter of, where it is one. */
  readonly parent?: string;
  /** The content digest of its artifact or the like; tells answers of other weights apart. */
  readonly digest: string;
  /** Its precision in words, such as `"W4A8KV4, groups of 128"`. */
  readonly scheme: string;
  /** Of its quantized weights, scales and zeros included. */
  readonly bitsPerWeight?: number;
  readonly parameters?: number;
  /** Of its weights as they lie on the device. */
  readonly bytes?: number;
  /** Positions it was trained for. */
  readonly trainedContext?: number;
  /** What it runs on, in words. */
  readonly device?: string;
  /** What quantization cost, where it was measured. */
  readonly quality?: MeasuredQuality;
}

/** A model artifact to be served, and what the store knows of it. */
export interface ServedModel {
  readonly path: string;
  readonly digest: string;
  /** What to call it: the step or the file it comes from. */
  readonly name: string;
  /** Where the reports of evaluations it went into lie. */
  readonly evaluations: readonly string[];
  /** How it is to be served, where a step of that name said it. */
  readonly deployment?: Deployment;
  /** LoRA adapters that belong to it. */
  readonly adapters?: readonly { readonly name: string; readonly path: string }[];
}

/** The card of a model artifact; its quality is that of the first evaluation of these weights. */
export async function readModelCard(
  { path, digest, name, evaluations, deployment }: ServedModel,
): Promise<ModelCard> {
  const facts = await describeModel(path);
  using checkpoint = await openCheckpoint(path);
  const { positions } = architectureOf(checkpoint.config).config;
  const read = await Promise.all(
    evaluations.map((path) => readEvaluation(path).catch(() => undefined)),
  );
  const found = read.find((evaluation) => evaluation?.model.digest === digest);
  const quality = deployment?.quality ?? (found && qualityOf(found));
  return {
    name,
    digest,
    scheme: facts.scheme,
    bitsPerWeight: facts.bitsPerWeight,
    parameters: facts.parameters,
    bytes: facts.bytes,
    trainedContext: positions,
    ...quality && { quality },
  };
}
