import type { Forecast } from "../../pipeline/stage.ts";
import { elements } from "../../kernels/device/tensor.ts";
import {
  importedTensors,
  type ImportOptions,
  openImport,
} from "../exchange/incoming/open_import.ts";
import type { Import } from "../exchange/incoming/import.ts";
import { resolveModel } from "../formats/hub/hub.ts";
import { PLAIN } from "../models/model_record.ts";
import { hostPeak } from "../models/peaks.ts";
import {
  jsonBytes,
  modelBytes,
  type ModelOutline,
  parsedBytes,
  plannedTensors,
} from "./outlines.ts";

/** Values read and written at once. */
const PIECE_VALUES = 2 ** 24;
/** Bytes a code takes on the host: as it was packed, by itself, and as it is packed again. */
const CODE = 3;

/**
 * What loading takes: the pieces of the largest tensor as they are, widened, and as they are kept, or
 * the codes of the largest linear.
 */
export async function forecastLoad(
  place: string,
  { dtype, ...options }: ImportOptions & { readonly dtype: "float16" | "float32" },
): Promise<Forecast> {
  const path = await resolveModel(place);
  using incoming = await openImport(path, options);
  const { config, checkpoint: { tokenizer, files }, record, lineage } = incoming;
  const specifications = importedTensors(incoming, dtype);
  const texts = [
    jsonBytes(config),
    ...files.values().map((text) => new TextEncoder().encode(text).length),
    ...tokenizer ? [jsonBytes(tokenizer.tokenizer), jsonBytes(tokenizer.config)] : [],
  ];
  const textBytes = texts.reduce((sum, bytes) => sum + bytes, 0);
  const facts: ModelOutline = {
    config,
    tensors: plannedTensors(specifications),
    record: record ?? PLAIN,
    textBytes,
    lineageBytes: await Promise.all(
      lineage.map(async (file) => (await Deno.stat(`${path}/${file}`)).size),
    ),
    tokenizer,
  };
  const arrays = specifications.map((tensor) => bytesAtOnce(incoming, tensor));
  return {
    deviceBytes: 0,
    hostBytes: hostPeak({ arrays: arrays.reduce((a, b) => Math.max(a, b)) }) + parsedBytes(facts),
    diskBytes: modelBytes(facts),
    facts,
  };
}

/** Bytes of arrays while a tensor is written. */
function bytesAtOnce(
  { checkpoint }: Pick<Import, "checkpoint">,
  { name, dtype, shape, linear }: ReturnType<typeof importedTensors>[number],
): number {
  const count = elements(shape);
  // A tensor of codes has some a word; those of bytes are counted as if they were nibbles.
  if (linear?.part !== undefined) return dtype === "U32" ? CODE * 8 * count : 0;
  const values = Math.min(PIECE_VALUES, count);
  const source = checkpoint.tensors.get(name)?.dtype ?? "";
  const coded = linear ? CODE * count : 0;
  return coded + values * (sourceBytes(source) + 4 + (dtype === "F16" ? 2 : 0));
}

/** Bytes of a value as it is stored, blocks of codes as if they were bytes. */
function sourceBytes(dtype: string): number {
  return dtype === "F32" ? 4 : /16$/.test(dtype) ? 2 : 1;
}
