import { openCheckpoint } from "../../stages/formats/open_checkpoint.ts";
import { writeCheckpointTexts } from "../../stages/formats/checkpoint_texts.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { findFamily } from "../../stages/models/families/find_family.ts";
import { readModelRecord, writeModelRecord } from "../../stages/models/model_record.ts";
import { readPacked } from "../../stages/models/packed_parts.ts";
import { codedValues, unpackWeight } from "../../stages/quant/coded_weight.ts";

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
      ? codedValues(unpackWeight(await readPacked(checkpoint, linear, scheme), scheme, shape[1]!))
      : await checkpoint.read(name);
    await writer.write(name, bytesOf(values));
  }
  await writer.close();
  await writeCheckpointTexts(checkpoint, out);
  await writeModelRecord(out, { ...record, linears: {}, kv: [] });
}
