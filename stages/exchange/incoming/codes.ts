import { architectureOf } from "../../models/architecture.ts";
import type { CodedWeight, OneLevelWeight } from "../../quant/coded_weight.ts";
import { checkScheme, type LinearScheme } from "../../quant/schemes.ts";
import { storedTensors } from "../../quant/stored_weight.ts";
import { checkGroup } from "../../quant/weight_grid.ts";

/** A tensor of a quantized linear as model artifacts hold it. */
export type StoredPart = ReturnType<typeof storedTensors>[number];

/** The way out for codes that cannot be kept. */
const WAY_OUT = "set codes to dequantize";

/** Throws unless there are kernels for all linears as they are quantized; says the way out. */
export function checkRunnable(
  linears: Readonly<Record<string, LinearScheme>>,
  config: unknown,
): void {
  for (const site of architectureOf(config).sites) {
    for (const { name, columns } of site.linears) {
      const scheme = linears[name];
      if (!scheme) continue;
      refusing(name, () => {
        const { range = "none", group } = scheme.inputs ?? {};
        checkScheme(scheme.weights, typeof range === "number" ? "static" : range, group);
        checkGroup(name, scheme.weights, columns);
      });
    }
    // The input of a site is quantized once, as its first linear says.
    const names = site.linears.map(({ name }) => name);
    const inputs = names.map((name) => JSON.stringify(linears[name]?.inputs));
    const odd = inputs.findIndex((words) => words !== undefined && words !== inputs[0]);
    if (odd < 0) continue;
    throw new TypeError(
      `Cannot keep the codes of "${names[odd]}": its inputs are ${inputs[odd]}, expected ${
        inputs[0] ?? "them not to be quantized"
      } as at "${names[0]}", for ${site.name} is quantized once; ${WAY_OUT}`,
    );
  }
}

function refusing(name: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    const why = (error as Error).message.replace(/^Cannot /, "no kernel can ");
    throw new TypeError(`Cannot keep the codes of "${name}": ${why}; ${WAY_OUT}`);
  }
}

/** The tensors of a coded weight after checking that codes are in range and scales are finite. */
export function checkedParts(weight: CodedWeight, name: string): readonly StoredPart[] {
  checkCodes(weight, name);
  checkNumbers(weight.rowScales ?? weight.scales, { name, part: "scales" });
  if (!weight.rowScales) checkZeros(weight, name);
  return storedTensors(weight, name);
}

/** Throws where a zero is no number, or before the scale no code. */
function checkZeros({ zeros, scheme: { bits } }: OneLevelWeight, name: string): void {
  if (zeros instanceof Float16Array) checkNumbers(zeros, { name, part: "zeros" });
  else if (zeros && bits < 8) checkRange(zeros, [0, 2 ** bits - 1], { name, part: "zeros" });
}

/** Throws where a code is not one of its width. */
function checkCodes({ codes, scheme: { bits, zero } }: CodedWeight, name: string): void {
  if (bits === 8) return;
  const range = zero === "none"
    ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] as const
    : [0, 2 ** bits - 1] as const;
  checkRange(codes, range, { name, part: "codes" });
}

function checkRange(
  values: Int8Array | Uint8Array,
  [least, most]: readonly [number, number],
  { name, part }: { readonly name: string; readonly part: string },
): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >= least && value <= most) continue;
    throw new RangeError(
      `Cannot keep the codes of "${name}": value ${i} of its ${part} is ${value}, expected ${least} to ${most}`,
    );
  }
}

function checkNumbers(
  values: Float16Array,
  { name, part }: { readonly name: string; readonly part: string },
): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new RangeError(
    `Cannot keep the codes of "${name}": value ${at} of its ${part} is ${
      values[at]
    }, expected finite numbers`,
  );
}
