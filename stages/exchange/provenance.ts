import { createHash } from "node:crypto";
import { readOptionalJson } from "../formats/foreign_json.ts";
import type { ModelRecord } from "../models/model_record.ts";

/** Where an exported model comes from, in `provenance.json`. */
export interface Provenance {
  readonly version: 1;
  readonly producer: "quattuor";
  readonly format: string;
  /** Content digest of the model artifact. */
  readonly model: string;
  /** Precision in words, such as `W4 g128 post-scale A8 per token KV4`. */
  readonly scheme: string;
  /** Precision that the user gave up, for the format has no place for it. */
  readonly ignored: readonly string[];
  readonly recipe: {
    /** Sha256 of `stages` as JSON. */
    readonly digest: string;
    /** The stages that made the model after it was first loaded, the first one first. */
    readonly stages: ModelRecord["history"];
  };
  /** What it was calibrated on; missing where no statistics were given. */
  readonly calibration?: {
    /** Content digest of the statistics. */
    readonly digest: string;
    /** Content digest of the tokens they saw. */
    readonly tokens: string;
    readonly windows: number;
    readonly context: number;
  };
  /** Evaluations of this model. */
  readonly scores: readonly {
    /** Content digest of the report. */
    readonly report: string;
    readonly protocol: {
      readonly id: string;
      readonly context: number;
      readonly windows: number;
      readonly tokens: string;
    };
    readonly scores: Readonly<Record<string, number>>;
  }[];
  /** How engines are started on it. */
  readonly engines: readonly {
    readonly engine: string;
    readonly command: string;
    readonly limits: readonly string[];
  }[];
}

/** File name of the provenance in an export. */
export const PROVENANCE = "provenance.json";

/** The scores of an evaluation on one line, zeros at their ends too. */
export function scoreWords(scores: Provenance["scores"][number]["scores"]): string {
  return Object.entries(scores).map(([name, value]) => `${name} ${value.toPrecision(6)}`)
    .join(", ");
}

/** The recipe that a model's record tells, with what made it before it was exported the last time. */
export function wholeHistory(
  { before = [], history }: Pick<ModelRecord, "before" | "history">,
): ModelRecord["history"] {
  return [...before, ...history];
}

/** A recipe of these stages. */
export function recipeOf(stages: ModelRecord["history"]): Provenance["recipe"] {
  return { digest: createHash("sha256").update(JSON.stringify(stages)).digest("hex"), stages };
}

/** Reads the provenance of an export; undefined where there is none. */
export async function readProvenance(directory: string): Promise<Provenance | undefined> {
  const path = `${directory}/${PROVENANCE}`;
  const found = await readOptionalJson(path) as Provenance | null | undefined;
  if (found === undefined || found?.version === 1) return found;
  throw new TypeError(`Cannot read "${path}": its version is ${found?.version}, expected 1`);
}
