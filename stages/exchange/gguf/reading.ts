import { laidOut } from "../../models/laid_out.ts";
import { PLAIN } from "../../models/model_record.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { blockCodes, type CodeType } from "../../formats/gguf/ggml_codes.ts";
import { READABLE } from "../../formats/gguf/dequantize.ts";
import { openGguf } from "../../formats/gguf/checkpoint.ts";
import { GGUF_CLASSES } from "../../models/open_checkpoint.ts";
import type { CodedWeight } from "../../quant/coded_weight.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import type { Reading } from "../format.ts";
import { subjectOf } from "../subject.ts";
import { compareTensors } from "../tensor_rules.ts";

/** The file of an export in this format. */
export const GGUF_FILE = "model.gguf";

/** What the codes of each type mean. */
const SCHEMES: Readonly<Record<CodeType, LinearScheme>> = {
  Q8_0: { weights: { bits: 8, zero: "none", group: 32, levels: 1 } },
  Q4_0: { weights: { bits: 4, zero: "none", group: 32, levels: 1 } },
  Q4_1: { weights: { bits: 4, zero: "post_scale", group: 32, levels: 1 } },
};

/**
 * Reads a GGUF file, or the one in the directory of an export, as coded weights.
 *
 * Linears in `Q8_0`, `Q4_0` and `Q4_1` give their codes; all else is dense.
 */
export async function openGgufReading(path: string): Promise<Reading> {
  const { isDirectory } = await Deno.stat(path);
  const checkpoint = await openGguf(
    isDirectory ? `${path}/${GGUF_FILE}` : path,
    GGUF_CLASSES,
  );
  try {
    return readingOf(checkpoint);
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}

function readingOf(stored: Checkpoint): Reading {
  const { config } = stored;
  const plain = subjectOf({
    config,
    record: PLAIN,
  });
  const checkpoint = laidOut(stored, plain);
  const linears: Record<string, LinearScheme> = {};
  for (const { name } of plain.linears) {
    const scheme = SCHEMES[checkpoint.tensors.get(`${name}.weight`)?.dtype as CodeType];
    if (scheme) linears[name] = scheme;
  }
  const rules = [...plain.tensors].map(([name, shape]) => {
    const dtypes = shape.length === 1 ? ["F32", "F16", "BF16"] : READABLE;
    return [name, { shape, dtypes, optional: false }] as const;
  });
  return {
    format: "gguf",
    checkpoint,
    config: config as Reading["config"],
    linears,
    kv: [],
    ...compareTensors(new Map(rules), checkpoint.tensors),
    linear: (name) => readLinear(checkpoint, name),
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

async function readLinear(checkpoint: Checkpoint, name: string): Promise<CodedWeight> {
  const { dtype, shape: [rows = 0, columns = 0], file } = checkpoint.tensors.get(`${name}.weight`)!;
  const found = blockCodes(dtype as CodeType, await checkpoint.readRaw(`${name}.weight`));
  const odd = found.scales.findIndex((scale, at) =>
    !Number.isFinite(scale) || !Number.isFinite(found.zeros?.[at] ?? 0)
  );
  if (odd < 0) return { ...found, scheme: SCHEMES[dtype as CodeType].weights, rows, columns };
  throw new RangeError(
    `tensor "${name}.weight" of "${file}": block ${odd % (columns / 32)} of row ${
      Math.floor(odd * 32 / columns)
    } has the scale ${found.scales[odd]} and the zero ${
      found.zeros?.[odd] ?? 0
    }, expected finite numbers`,
  );
}
