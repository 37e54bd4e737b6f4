import type { Device } from "../kernels/device/device.ts";
import type { Stage, StageDeclaration, StageWork } from "../pipeline/stage.ts";
import type { KindFacts } from "./facts.ts";

/**
 * What each artifact kind holds.
 *
 * - `model`: a Hugging Face checkpoint directory: `config.json`, `tokenizer.json`,
 *   `tokenizer_config.json`, safetensors shards under the names of transformers.
 *   A stage that changed it adds `model.json`; quantized linears have packed tensors in place of
 *   `.weight`.
 * - `stats`: `stats.json` and a safetensors file a layer: what calibration saw of the activations.
 * - `tokens`: `tokens.u32` (little-endian ids, one after another) and `tokens.json` (their count,
 *   digest, source and the tokenizer's digest).
 * - `report`: `report.json` (scores with their protocol, or a benchmark) and what the report draws on.
 * - `deployment`: `deployment.json` (how a model is served, and what it answered) and the model's files
 *   in `model/`.
 * - `export`: a model as another program reads it, with `provenance.json` and a README.
 */
export type Kind = keyof KindFacts;

/** An input of a stage: one artifact, an optional one, a list, or one that may be empty. */
export type KindInput = Kind | `${Kind}?` | `${Kind}[]` | `${Kind}[]?`;

/** What the program hands to every stage. */
export interface Tools {
  /** The device, opened on first use. */
  device(): Promise<Device>;
  /** Bytes of weights and activations the work may keep at once. */
  readonly memoryBytes: number;
}

/** Types a stage: the kinds are pinned to ours, so that a misspelt one does not compile. */
export function defineStage<
  Params,
  const Inputs extends Readonly<Record<string, KindInput>>,
  Output extends Kind,
>(
  stage: Stage<Params, Inputs, Output, Tools, KindFacts>,
): Stage<Params, Inputs, Output, Tools, KindFacts> {
  return stage;
}

/** Types a stage whose work is in a file of its own; see {@linkcode withWork}. */
export function declareStage<
  Params,
  const Inputs extends Readonly<Record<string, KindInput>>,
  Output extends Kind,
>(declaration: StageDeclaration<Params, Inputs, Output>): StageDeclaration<Params, Inputs, Output> {
  return declaration;
}

/** The parameters of a declared stage, as its schema gives them. */
export type ParamsOf<Declared> = Declared extends StageDeclaration<infer Params, infer _, string>
  ? Params
  : never;

/** The work of a declared stage. */
export type WorkOf<Declared> = Declared extends StageDeclaration<infer Params, infer Inputs, string>
  ? Required<StageWork<Params, Inputs, Tools, KindFacts>>
  : never;

/**
 * A declared stage with its work, which is read when the stage is first to forecast or to run: who
 * checks, plans and finds all made already does not wait for what that needs.
 */
export function withWork<
  Params,
  Inputs extends Readonly<Record<string, KindInput>>,
  Output extends Kind,
>(
  declaration: StageDeclaration<Params, Inputs, Output>,
  load: () => Promise<Required<StageWork<Params, Inputs, Tools, KindFacts>>>,
): Stage<Params, Inputs, Output, Tools, KindFacts> {
  return {
    ...declaration,
    forecast: async (...asked) => await (await load()).forecast(...asked),
    run: async (...asked) => await (await load()).run(...asked),
  };
}
