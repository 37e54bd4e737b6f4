import { PLAIN } from "../../models/model_record.ts";
import { codedValues } from "../../quant/coded_weight.ts";
import type { Format, Reading } from "../format.ts";
import { type Import, type ImportedCodes, refuseProblems } from "./import.ts";
import { checkedParts, checkRunnable } from "./codes.ts";

/** Opens a checkpoint in a format of the registry. */
export async function openForeign(
  path: string,
  { format: [name, format], codes }: {
    readonly format: readonly [name: string, format: Pick<Format, "open">];
    readonly codes: ImportedCodes | undefined;
  },
): Promise<Import> {
  const reading = await format.open(path);
  try {
    refuseProblems(path, [...reading.problems, ...strayParts(reading)]);
    const { checkpoint, config, linears, kv } = reading;
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
      warnings: reading.unexpected.length === 0 ? [] : [
        `${reading.unexpected.length} tensors are not used, such as "${reading.unexpected[0]}"`,
      ],
      [Symbol.dispose]: () => reading[Symbol.dispose](),
    };
  } catch (error) {
    reading[Symbol.dispose]();
    throw error;
  }
}

/** Tensors of quantized linears that the format does not know, which may change what they mean. */
function strayParts({ linears, unexpected }: Reading): string[] {
  return unexpected
    .filter((name) => Object.hasOwn(linears, name.replace(/\.\w+$/, "")))
    .map((name) => `tensor "${name}" is there, expected none in this format`);
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
