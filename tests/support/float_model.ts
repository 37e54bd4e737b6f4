import { writeCheckpointTexts } from "../../stages/formats/checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { writeModelRecord } from "../../stages/models/model_record.ts";
import { codedValues } from "../../stages/quant/coded_weight.ts";
import { readCoded } from "../../stages/quant/stored_weight.ts";

/** Writes a quantized model with its weights as plain floats: the oracle for the integer kernels. */
export async function writeDequantized(from: string, out: string): Promise<void> {
  using files = await openModel(from);
  const { checkpoint, record, architecture: { tensors, quantizableOf } } = files;
  const specs = [...tensors].map(([name, shape]) => ({ name, dtype: "F32", shape } as const));
  using writer = await createCheckpointWriter(out, specs);
  for (const { name } of specs) {
    const linear = quantizableOf(name);
    const scheme = linear && record.linears[linear.name]?.weights;
    const values = scheme
      ? codedValues(await readCoded(checkpoint, linear.name, scheme))
      : await checkpoint.read(name);
    await writer.write(name, bytesOf(values));
  }
  await writer.close();
  await writeCheckpointTexts(checkpoint, out);
  await writeModelRecord(out, { ...record, linears: {}, kv: [] });
}
