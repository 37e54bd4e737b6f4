import { architectureOf } from "../../models/architecture.ts";
import { PLAIN } from "../../models/model_record.ts";
import { moduleOf } from "../../models/site.ts";
import { codedValues } from "../../quant/coded_weight.ts";
import type { Format, Reading } from "../format.ts";
import { explainUnused, withoutZeroBiases } from "../unused_tensors.ts";
import { type Import, type ImportOptions, refuseProblems } from "./import.ts";
import { checkedParts, checkRunnable } from "./codes.ts";

/** Opens a checkpoint in a format of the registry. */
export async function openForeign(
  path: string,
  [name, format]: readonly [name: string, format: Pick<Format, "open">],
  { codes, unused: fate = "refuse" }: ImportOptions,
): Promise<Import> {
  const reading = await format.open(path);
  try {
    const { checkpoint, config, linears, kv, problems } = reading;
    const unused = await withoutZeroBiases(checkpoint, reading.unexpected);
    const told = explainUnused(
      unused.filter((name) => !isPart(reading, name)),
      architectureOf(config),
    );
    const parts = unused.filter((name) => isPart(reading, name))
      .map((name) => `tensor "${name}" is there, expected none in this format`);
    refuseProblems(path, [...problems, ...parts, ...fate === "refuse" ? told : []]);
    const dequantized = codes === "dequantize";
    if (!dequantized) checkRunnable(linears, config);
    const params = { format: name, ...dequantized && { codes: "dequantize" } };
    return {
      checkpoint,
      config,
      record: {
        ...PLAIN,
        history: [{ stage: "load", params }],
        ...!dequantized && { linears, kv },
      },
      linears,
      parts: (linear) =>
        naming(path, async () => checkedParts(await reading.linear(linear), linear)),
      values: (linear) => naming(path, () => valuesOf(reading, linear)),
      lineage: [],
      warnings: [...checkpoint.notes ?? [], ...told.map((text) => `Not used: ${text}`)],
      [Symbol.dispose]: () => reading[Symbol.dispose](),
    };
  } catch (error) {
    reading[Symbol.dispose]();
    throw error;
  }
}

/** Whether a tensor is of a quantized linear, so that it may change what the others mean. */
function isPart({ linears }: Reading, name: string): boolean {
  return Object.hasOwn(linears, moduleOf(name));
}

async function valuesOf(
  reading: Reading,
  linear: string,
): Promise<Awaited<ReturnType<Import["values"]>>> {
  const { values, checkpoint: { path } } = reading;
  if (values) return (rows) => naming(path, () => values(linear, rows));
  const weight = await reading.linear(linear);
  return (rows) => Promise.resolve(codedValues(weight, rows));
}

/** Does work; a rule that it finds broken is told as a sentence about the checkpoint. */
async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Error) || cause.message.startsWith("Cannot ")) throw cause;
    throw new TypeError(`Cannot load "${path}": ${cause.message}`, { cause });
  }
}
