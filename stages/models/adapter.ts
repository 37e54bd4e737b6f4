import type { LowRankChange } from "../formats/peft.ts";

/** A LoRA adapter of a model: what it adds to linears, by their names. */
export interface Adapter {
  readonly name: string;
  readonly changes: ReadonlyMap<string, LowRankChange>;
}
