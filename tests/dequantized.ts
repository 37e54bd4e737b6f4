import { openCheckpoint } from "../stages/formats/checkpoint.ts";
import { writeCheckpointTexts } from "../stages/formats/checkpoint_texts.ts";
import { createCheckpointWriter } from "../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../stages/formats/half.ts";
import { findFamily } from "../stages/models/find_family.ts";
import { readModelRecord, writeModelRecord } from "../stages/models/model_record.ts";
import { readPacked } from "../stages/models/packed_parts.ts";
import { unpackCodes } from "../stages/quant/packed.ts";
import { groupColumns, type WeightScheme } from "../stages/quant/schemes.ts";

/** Writes a quantized model with its weights as plain floats: the oracle for the integer kernels. */
export async function writeDequantized(from: string, out: string): Promise<void> {
  using checkpoint = await openCheckpoint(from);
  const record = await readModelRecord(from);
  const family = findFamily(checkpoint.config);
  const tensors = family.tensors(family.config(checkpoint.config));
  const specs = [...tensors].map(([name, shape]) => ({ name, dtype: "F32", shape } as const));
  using writer = await createCheckpointWriter(out, specs);
  for (const { name, shape } of specs) {
    const linear = name.replace(/\.weight$/, "");
    const scheme = record.linears[linear]?.weights;
    const values = scheme
      ? weightOf(await readPacked(checkpoint, linear, scheme), scheme, shape as [number, number])
      : await checkpoint.read(name);
    await writer.write(name, bytesOf(values));
  }
  await writer.close();
  await writeCheckpointTexts(checkpoint, out);
  await writeModelRecord(out, { ...record, linears: {}, kv: [] });
}

function weightOf(
  packed: Awaited<ReturnType<typeof readPacked>>,
  scheme: WeightScheme,
  [rows, columns]: [number, number],
): Float32Array {
  const codes = unpackCodes(packed.codes, scheme);
  const group = groupColumns(scheme, columns);
  const { scales, zeros, group_scales, group_zeros } = packed;
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const at = Math.floor(i / group);
    if (scheme.levels === 2) {
      const inner = codes[i]! * group_scales![at]! - group_zeros![at]!;
      return inner * scales[Math.floor(i / columns)]!;
    }
    if (scheme.zero === "none") return codes[i]! * scales[at]!;
    if (scheme.zero === "pre_scale") return (codes[i]! - zeros![at]!) * scales[at]!;
    return codes[i]! * scales[at]! - zeros![at]!;
  });
}
