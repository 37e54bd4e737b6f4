import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { kvSchemes, pageBytes } from "../engine/kv_pools.ts";
import { describeModel, sizesOf } from "../models/model_facts.ts";
import { openModel } from "../models/architecture.ts";
import type { ModelFiles } from "../models/family.ts";
import { headersOf } from "../models/peaks.ts";
import { precisionWords } from "./precision_record.ts";
import { PRECISIONS } from "./precisions.ts";
import { randomFiles, type RandomModel, randomModel, writeRandomModel } from "./random_model.ts";
import { SHAPES } from "./shapes.ts";

/** A model to measure, of which nothing but headers is known yet. */
export interface BenchmarkSubject {
  readonly label: string;
  /** Precision of weights, activations and KV cache, in words. */
  readonly scheme: string;
  readonly digest?: string;
  /** Headers alone. */
  readonly files: ModelFiles;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  /** Where its files lie, which are made now if need be; they are gone after disposal. */
  place(signal: AbortSignal): Promise<AsyncDisposable & { readonly path: string }>;
}

/** What models can be made up of. */
export interface RandomWishes {
  readonly shape: keyof typeof SHAPES;
  readonly precisions: readonly (keyof typeof PRECISIONS)[];
}

/** Models of the store; a label is the model's scheme unless said. */
export async function storedSubjects(
  models: readonly { readonly path: string; readonly digest: string }[],
  labels: readonly string[] | undefined,
): Promise<BenchmarkSubject[]> {
  return await Promise.all(models.map(async ({ path, digest }, at): Promise<BenchmarkSubject> => {
    using opened = await openModel(path);
    const files = headersOf(opened);
    const { scheme, bytes } = await describeModel(path);
    return {
      label: labels?.[at] ?? scheme,
      scheme,
      digest,
      files,
      weightBytes: bytes,
      kvBytesPerToken: kvBytes(files),
      place: () => Promise.resolve({ path, [Symbol.asyncDispose]: () => Promise.resolve() }),
    };
  }));
}

/** Models of one shape with random weights, whose files lie in a directory while they are measured. */
export function randomSubjects(
  wishes: RandomWishes,
  { directory, seed }: { readonly directory: string; readonly seed: number },
): BenchmarkSubject[] {
  return randomModels(wishes).map(({ name, model }): BenchmarkSubject => {
    const files = randomFiles(model);
    return {
      label: name.toUpperCase().replaceAll("_", " "),
      scheme: precisionWords(PRECISIONS[name]),
      files,
      weightBytes: sizesOf(model, model.architecture).bytes,
      kvBytesPerToken: kvBytes(files),
      async place(signal) {
        const path = `${directory}/random-weights`;
        const remove = () => Deno.remove(path, { recursive: true });
        try {
          await writeRandomModel(path, model, { seed, signal });
        } catch (error) {
          await remove().catch(() => {});
          throw error;
        }
        return { path, [Symbol.asyncDispose]: remove };
      },
    };
  });
}

/** The headers of models of one shape in several precisions. */
export function randomModels(
  { shape, precisions }: RandomWishes,
): { readonly name: keyof typeof PRECISIONS; readonly model: RandomModel }[] {
  return precisions.map((name) => ({ name, model: randomModel(SHAPES[shape], PRECISIONS[name]) }));
}

/** Throws unless there are models or a shape, not both. */
export function refuseNeitherNorBoth(models: number, shape: string | undefined): void {
  if ((models > 0) !== (shape !== undefined)) return;
  throw new TypeError(
    `Cannot benchmark: there are ${models} models and ${
      shape === undefined ? "no shape" : `shape ${shape}`
    }, expected models or a shape`,
  );
}

/** Throws unless a model takes prompts and answers so long. */
export function refuseTooLong(
  positions: number,
  { label, prompt, output }: {
    readonly label: string;
    readonly prompt: number;
    readonly output: number;
  },
): void {
  if (prompt + output <= positions) return;
  throw new RangeError(
    `Cannot benchmark ${label} with prompts of ${prompt} tokens and answers of ${output}: that is ${
      prompt + output
    }, expected at most ${positions}, which the model was made for; lower prompt or output`,
  );
}

function kvBytes({ architecture: { config }, record }: ModelFiles): number {
  return pageBytes(config, kvSchemes(config, record)) / PAGE_TOKENS;
}
