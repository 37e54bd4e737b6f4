import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";

/** A text with what other programs make of it and the embedded model. */
export interface GoldenText {
  readonly text: string;
  /** Token ids of the Rust library. */
  readonly ids: readonly number[];
  /** PyTorch's, in float32, of every token but the first. */
  readonly logLikelihoods: readonly number[];
}

/** The text beside the embedded model. */
export const GOLDEN: GoldenText = JSON.parse(await Deno.readTextFile(`${EMBEDDED}/golden.json`));
