import { openCheckpoint } from "../../models/open_checkpoint.ts";
import { DTYPES } from "../../formats/half.ts";
import { architectureOf } from "../../models/architecture.ts";
import type { Architecture } from "../../models/family.ts";
import { channelFiles } from "../../models/lineage.ts";
import { type ModelRecord, PLAIN } from "../../models/model_record.ts";
import { codedValues } from "../../quant/coded_weight.ts";
import { groupColumns } from "../../quant/schemes.ts";
import { type Import, type ImportedCodes, refuseProblems } from "./import.ts";
import { codedTensors, readCoded } from "../../quant/stored_weight.ts";
import { checkedParts, checkRunnable } from "./codes.ts";
import { checkOwnRecord } from "./record.ts";
import { compareTensors, type TensorRule } from "../tensor_rules.ts";

/**
 * Opens a model artifact of ours by its record.
 *
 * What is kept comes out with the very bytes and the digest it had, so that statistics of it are
 * statistics of what is loaded.
 */
export async function openOwn(
  path: string,
  record: ModelRecord,
  codes: ImportedCodes | undefined,
): Promise<Import> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { config } = checkpoint;
    const architecture = architectureOf(config);
    checkOwnRecord(record, architecture, path);
    if (codes !== "dequantize") checkRunnable(record.linears, config);
    const { problems, unexpected } = compareTensors(
      rulesOf(architecture, record, path),
      checkpoint.tensors,
    );
    const stray = unexpected.map((name) =>
      `tensor "${name}" is there, expected none by the record`
    );
    refuseProblems(path, [...problems, ...stray]);
    const linear = (name: string) => readCoded(checkpoint, name, record.linears[name]!.weights);
    return {
      checkpoint,
      config,
      record: codes === "dequantize" ? plainRecord(record) : record,
      linears: record.linears,
      parts: async (name) => checkedParts(await linear(name), name),
      values: async (name) => {
        const weight = await linear(name);
        return (rows) => Promise.resolve(codedValues(weight, rows));
      },
      lineage: channelFiles(record),
      warnings: checkpoint.notes ?? [],
      [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
    };
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}

/** The record of a model whose precision is given up; transforms and channels stay as they are. */
function plainRecord(record: ModelRecord): ModelRecord {
  if (Object.keys(record.linears).length === 0 && record.kv.length === 0) return record;
  const { linears, kv, measured } = PLAIN;
  const history = [...record.history, { stage: "load", params: { codes: "dequantize" } }];
  return { ...record, history, linears, kv, measured };
}

function rulesOf(
  { tensors, quantizableOf }: Architecture,
  { linears }: ModelRecord,
  path: string,
): ReadonlyMap<string, TensorRule> {
  const rules = new Map<string, TensorRule>();
  for (const [name, shape] of tensors) {
    const linear = quantizableOf(name);
    const scheme = linear && linears[linear.name]?.weights;
    if (!scheme) {
      rules.set(name, { shape, dtypes: Object.values(DTYPES), optional: false });
      continue;
    }
    const { columns } = linear;
    if (columns % groupColumns(scheme, columns) !== 0) {
      throw new RangeError(
        `Cannot load "${path}": "${linear.name}" has groups of ${scheme.group}, expected what divides its ${columns} columns`,
      );
    }
    for (const { name, dtype, shape } of codedTensors(linear, scheme)) {
      rules.set(name, { shape, dtypes: [dtype], optional: false });
    }
  }
  return rules;
}
