import type { RecipeScalar, RecipeSection } from "./recipe_tree.ts";

/** A search over ranges, smoothing scales or orders, as recipes say it. */
export interface Search {
  /** Where it was written. */
  readonly section: RecipeSection;
  readonly strategy: "manual" | "grid";
  readonly objective: string;
  readonly granularity: string;
  readonly degree: number;
}

/** How the ranges of a block are found. */
export interface RangeCalibration extends Search {
  readonly ratio: number;
  readonly maxShrink: number;
  readonly maxExpand: number;
  readonly grids: number;
  readonly allowScale: boolean;
  readonly skips: readonly string[];
}

/** What is quantized how: the weights of linears, their inputs, or queries, keys and values. */
export interface QuantizerBlock {
  readonly section: RecipeSection;
  /** Undefined where the block is off. */
  readonly dtype: string | undefined;
  readonly zeroPoint: string | undefined;
  /** A level each, the largest groups first: rows, then channels; -1 is all. */
  readonly groups: readonly (readonly RecipeScalar[])[];
  /** A level each; undefined is the model's own type. */
  readonly scales: readonly (string | undefined)[];
  readonly intermediate: readonly (string | undefined)[];
  readonly intermediateLevels: readonly (string | undefined)[];
  readonly saturation: boolean;
  readonly static: boolean;
  readonly gptq: {
    readonly damping: number;
    readonly block: number;
    readonly tries: number;
  } | undefined;
  readonly range: RangeCalibration | undefined;
  readonly skips: readonly string[];
}

/** One kind of smoothing. */
export interface RecipeSmoothing extends Search {
  readonly spans: readonly (readonly RecipeScalar[])[];
  readonly alpha: number;
  readonly beta: number;
  readonly grids: number;
  readonly quantizeAlphaSide: boolean;
  readonly quantizeBetaSide: boolean;
  readonly skips: readonly string[];
}

/** A DeepCompressor recipe with its files merged, after its own rules for what is on and off. */
export interface DeepCompressorRecipe {
  readonly root: RecipeSection;
  readonly seed: number;
  readonly model: { readonly name: string; readonly path: string; readonly dtype: string };
  readonly evaluation: {
    readonly section: RecipeSection;
    readonly off: boolean;
    readonly tasks: readonly string[];
    readonly evaluators: readonly string[];
    readonly length: number;
  };
  readonly calibration: {
    readonly section: RecipeSection;
    readonly data: string;
    readonly localPath: string;
    readonly samples: number;
    readonly length: number;
    readonly shortest: number;
    readonly longest: number;
  };
  readonly developDtype: string;
  readonly weights: QuantizerBlock;
  readonly inputs: QuantizerBlock;
  readonly outputs: QuantizerBlock;
  readonly rotation: {
    readonly section: RecipeSection;
    readonly random: boolean;
    readonly path: string;
    readonly transforms: readonly string[];
  } | undefined;
  readonly reorder:
    | Search & {
      readonly metric: string;
      readonly index: string;
      readonly dynamic: boolean;
      readonly quantizeInputs: boolean;
      readonly quantizeWeights: boolean;
      /** After the rules by which rotation and fixed orders add to it. */
      readonly skips: readonly string[];
    }
    | undefined;
  readonly projections: RecipeSmoothing | undefined;
  readonly attention: RecipeSmoothing | undefined;
}

/** The last part of a name with dots: how DeepCompressor reads its enumerations and types. */
export function lastPart(name: string): string {
  return name.split(".").at(-1)!;
}
