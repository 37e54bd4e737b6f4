import { openCheckpoint } from "../../models/open_checkpoint.ts";
import type { TensorSpecification } from "../../formats/safetensors/header.ts";
import { architectureOf } from "../../models/architecture.ts";
import { codedTensors } from "../../quant/stored_weight.ts";
import { openDeepCompressor } from "../deepcompressor/checkpoint.ts";
import { isDeepCompressor } from "../deepcompressor/saved_files.ts";
import { FORMATS, recognizeFormat } from "../find_format.ts";
import type { Import, ImportOptions } from "./import.ts";
import { openOwn } from "./own.ts";
import { openPlain } from "./plain.ts";
import { openForeign } from "./foreign.ts";
import { stagesBefore } from "./before_export.ts";
import { readOwnRecord } from "./record.ts";
import { PLAIN } from "../../models/model_record.ts";

/** A tensor to write, with the linear whose codes or values it holds. */
export interface ImportedTensor extends TensorSpecification {
  readonly linear?: { readonly name: string; readonly part?: string };
}

/**
 * Opens a checkpoint of any origin: plain, an artifact of ours, in a format of the registry, or as
 * DeepCompressor saves it.
 *
 * All headers are compared with what its record or its format asks for. Codes are kept unless
 * `dequantize` is said; those of a GGUF file only if `keep` is.
 */
export async function openImport(path: string, options: ImportOptions = {}): Promise<Import> {
  const record = await readOwnRecord(path);
  if (record) return await openOwn(path, record, options.codes);
  const opened = await openOthers(path, options);
  try {
    const before = await stagesBefore(path, opened.checkpoint);
    const plain = opened.record ?? (before && before.length > 0 ? PLAIN : undefined);
    return before && plain ? { ...opened, record: { ...plain, before } } : opened;
  } catch (error) {
    opened[Symbol.dispose]();
    throw error;
  }
}

async function openOthers(path: string, options: ImportOptions): Promise<Import> {
  const { codes, config } = options;
  if (await isDeepCompressor(path)) {
    const texts = config === undefined ? {} : { texts: config };
    const open = (path: string) => openDeepCompressor(path, texts);
    return await openForeign(path, ["deepcompressor", { open }], options);
  }
  const plain = await openCheckpoint(path);
  try {
    const { isFile } = await Deno.stat(path);
    const format = isFile
      ? codes === "keep" ? ["gguf", FORMATS.gguf!] as const : undefined
      : recognizeFormat(plain);
    if (!format) return await openPlain(plain, options);
    plain[Symbol.dispose]();
    return await openForeign(path, format, options);
  } catch (error) {
    plain[Symbol.dispose]();
    throw error;
  }
}

/** The tensors to write: codes as they are, matrices in the type asked for, vectors in F32. */
export function importedTensors(
  { config, record, linears }: Pick<Import, "config" | "record" | "linears">,
  dtype: "float16" | "float32",
): readonly ImportedTensor[] {
  const { tensors, quantizableOf } = architectureOf(config);
  return [...tensors].flatMap(([name, shape]): ImportedTensor[] => {
    const linear = quantizableOf(name);
    const scheme = linear && record?.linears[linear.name]?.weights;
    if (scheme) {
      return codedTensors(linear, scheme)
        .map(({ part, ...tensor }) => ({ ...tensor, linear: { name: linear.name, part } }));
    }
    const type = dtype === "float16" && shape.length > 1 ? "F16" : "F32";
    const coded = linear && linears[linear.name] && { linear: { name: linear.name } };
    return [{ name, dtype: type, shape, ...coded }];
  });
}
