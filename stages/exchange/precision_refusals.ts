import { weightWords } from "../quant/schemes.ts";
import { modelRefusal, type Refusal } from "./format.ts";
import { codedByWeight, type Subject } from "./subject.ts";

/**
 * Why a format for weights alone cannot hold a model: its quantized inputs, its KV cache, and transforms
 * that run between its linears.
 */
export function* refusedPrecision(
  subject: Subject,
  format: string,
): Generator<Refusal> {
  const { record } = subject;
  const quantized = [...codedByWeight(subject).values()].filter(({ scheme }) => scheme.inputs);
  const [first] = quantized;
  if (first) {
    yield {
      what: "activations",
      text: `${first.name} and ${quantized.length - 1} other linears take ${
        first.scheme.inputs!.bits
      }-bit inputs, expected none beside ${format}`,
    };
  }
  yield* refusedKv({ record }, format);
  yield* refusedTransforms({ record });
}

/** Why a format without a place for the KV cache's precision cannot hold a model. */
export function* refusedKv(
  { record }: Pick<Subject, "record">,
  format: string,
): Generator<Refusal> {
  const widths = [...new Set(record.kv.flatMap(({ key, value }) => [key.bits, value.bits]))];
  if (widths.length === 0) return;
  yield {
    what: "kv",
    text: `its KV cache has ${
      widths.sort().join(" and ")
    } bits, expected none beside ${format}: the engine chooses there`,
  };
}

/** Why a format whose engines have no codes for the head cannot hold a model. */
export function* refusedHead(
  { codedHead }: Pick<Subject, "codedHead">,
  format: string,
): Generator<Refusal> {
  if (!codedHead) return;
  const words = weightWords(codedHead.scheme.weights);
  yield modelRefusal(
    `its head, ${codedHead.name}, has ${words}, expected half precision in ${format}; leave head out of quantize`,
  );
}

/** Why no other program can hold a model: transforms and codes that only run here. */
export function* refusedTransforms({ record }: Pick<Subject, "record">): Generator<Refusal> {
  const [ordered] = Object.keys(record.orders ?? {});
  if (ordered !== undefined) {
    yield modelRefusal(
      `the channels of ${ordered} are put into another order while the model runs, expected them as they are made; leave online out of reorder`,
    );
  }
  const wide = Object.entries(record.linears)
    .filter(([, { weights }]) => weights.outlier_bits !== undefined);
  const [first] = wide;
  if (first) {
    const [name, { weights: { bits, outlier_bits: outlierBits } }] = first;
    yield modelRefusal(
      `${name} and ${
        wide.length - 1
      } other linears have codes of ${bits} bits and outliers of ${outlierBits}, expected one width; leave outlier_bits out of quantize's weights`,
    );
  }
  const [site] = record.hadamard;
  if (site === undefined) return;
  yield modelRefusal(
    `a Hadamard transform runs at ${site} while the model runs, expected none; leave out_proj_online and down_proj out of rotate's transforms`,
  );
}
