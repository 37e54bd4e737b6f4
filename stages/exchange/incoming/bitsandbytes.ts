import { z } from "zod";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LinearOutline } from "../../models/site.ts";
import type { StoredWeights, StoredWeightValues } from "./stored_weights.ts";

type Stored = Pick<Checkpoint, "path" | "tensors" | "read" | "readRaw">;

/** Tensors of a 4-bit weight beside its state, under its own name. */
const BESIDE_4 = ["absmax", "quant_map", "nested_absmax", "nested_quant_map"] as const;
/** Tensors of an 8-bit weight, under the name of its linear. */
const BESIDE_8 = ["SCB", "weight_format"] as const;

/** What bitsandbytes writes of a 4-bit weight, as JSON in bytes. */
const state4 = z.looseObject({
  blocksize: z.int().positive(),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  nested_blocksize: z.int().positive().optional(),
  nested_offset: z.number().optional(),
});

/**
 * Weights as bitsandbytes saves them: int8 with a scale a row (Dettmers et al., "LLM.int8()", 2022), or
 * codes of 4 bits with a scale a block of each weight, the scales as they are or in 8 bits themselves
 * (Dettmers et al., "QLoRA", 2023).
 */
export function bitsandbytesWeights(
  checkpoint: Stored,
  linears: readonly LinearOutline[],
): StoredWeights | undefined {
  const { tensors } = checkpoint;
  const weights = new Map<string, StoredWeightValues>();
  const beside: string[] = [];
  for (const linear of linears) {
    const { name, weight } = linear;
    const dtype = tensors.get(weight)?.dtype;
    const states = ["nf4", "fp4"].map((type) => `${weight}.quant_state.bitsandbytes__${type}`);
    const state = states.find((name) => tensors.has(name));
    if (dtype === "I8" && tensors.has(`${name}.SCB`)) {
      weights.set(weight, eightBits(checkpoint, linear));
      beside.push(...BESIDE_8.map((part) => `${name}.${part}`));
    } else if (dtype === "U8" && state !== undefined) {
      weights.set(weight, fourBits(checkpoint, linear, state));
      beside.push(state, ...BESIDE_4.map((part) => `${weight}.${part}`));
    }
  }
  if (weights.size === 0) return undefined;
  const note = `${weights.size} linears hold codes of bitsandbytes; they are read as their values`;
  return { weights, beside, note };
}

/** 1 / 127 in single precision, by which bitsandbytes multiplies. */
const STEP = Math.fround(1 / 127);

function eightBits(
  { tensors, path, read, readRaw }: Stored,
  { name, weight, rows, columns }: LinearOutline,
): StoredWeightValues {
  const { shape } = tensors.get(weight)!;
  if (String(shape) !== `${rows},${columns}`) {
    throw new RangeError(
      `Cannot read tensor "${weight}" of "${path}": it is [${
        shape.join(", ")
      }], expected [${rows}, ${columns}]`,
    );
  }
  return {
    shape: [rows, columns],
    async open() {
      const scales = await read(`${name}.SCB`);
      return async (range) => {
        const codes = new Int8Array((await readRaw(weight, range)).buffer);
        const values = new Float32Array(codes.length);
        for (let i = 0; i < codes.length; i++) {
          const scale = scales[range.start + Math.floor(i / columns)]!;
          values[i] = Math.fround(codes[i]! * scale) * STEP;
        }
        return values;
      };
    },
  };
}

function fourBits(
  { tensors, path, read, readRaw }: Stored,
  { weight, rows, columns }: LinearOutline,
  state: string,
): StoredWeightValues {
  const { shape: stored } = tensors.get(weight)!;
  const bytes = stored.reduce((product, size) => product * size, 1);
  const refuse = (is: string, expected: string): never => {
    throw new RangeError(
      `Cannot read tensor "${weight}" of "${path}": ${is}, expected ${expected}`,
    );
  };
  if (2 * bytes !== rows * columns) refuse(`it has ${bytes} bytes`, `${rows * columns / 2}`);
  return {
    shape: [rows, columns],
    async open() {
      const { data, error } = state4.safeParse(parsed(await readRaw(state)));
      if (!data) return refuse(`its "${state}" is odd (${error.issues[0]?.message})`, "a state");
      if (String(data.shape) !== `${rows},${columns}`) {
        refuse(`its state says [${data.shape.join(", ")}]`, `[${rows}, ${columns}]`);
      }
      const map = await read(`${weight}.quant_map`);
      const scales = await blockScales({ tensors, path, read, readRaw }, weight, data);
      const blocks = Math.ceil(rows * columns / data.blocksize);
      if (map.length !== 16 || scales.length !== blocks) {
        refuse(`it has ${map.length} values and ${scales.length} scales`, `16 and ${blocks}`);
      }
      return async (range) => {
        const values = new Float32Array((range.end - range.start) * columns);
        const first = range.start * columns;
        const from = Math.floor(first / 2);
        const end = Math.ceil(range.end * columns / 2);
        // A byte a row, or all in one.
        const pairs = stored[0] === bytes
          ? await readRaw(weight, { start: from, end })
          : (await readRaw(weight)).subarray(from, end);
        for (let i = 0; i < values.length; i++) {
          const at = first + i;
          const pair = pairs[(at >> 1) - from]!;
          // The first of two codes stands in the high bits.
          const code = at % 2 === 0 ? pair >> 4 : pair & 15;
          values[i] = map[code]! * scales[Math.floor(at / data.blocksize)]!;
        }
        return values;
      };
    },
  };
}

/** A scale a block, in single precision; where they are codes, their values by scales of their own. */
async function blockScales(
  { tensors, read, readRaw }: Stored,
  weight: string,
  { nested_blocksize: block, nested_offset: offset = 0 }: z.infer<typeof state4>,
): Promise<Float32Array> {
  const name = `${weight}.absmax`;
  if (tensors.get(name)?.dtype !== "U8" || block === undefined) return await read(name);
  const map = await read(`${weight}.nested_quant_map`);
  const scales = await read(`${weight}.nested_absmax`);
  return Float32Array.from(
    await readRaw(name),
    (code, i) => Math.fround(map[code]! * scales[Math.floor(i / block)]!) + offset,
  );
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
