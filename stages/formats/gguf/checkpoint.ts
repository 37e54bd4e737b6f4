import { ByteFile } from "../byte_file.ts";
import { ggufGeneration } from "./answer_ends.ts";
import type { Checkpoint, RowRange, StoredTensor } from "../checkpoint.ts";
import { dequantizeBlocks, READABLE } from "./dequantize.ts";
import { ggmlType } from "./ggml_types.ts";
import { ggufClass, ggufConfig, ggufHeads } from "./config.ts";
import { type GgufHeader, type GgufTensor, readGgufHeader } from "./header.ts";
import { ggufMetadata } from "./metadata.ts";
import type { GgufClass } from "./model_class.ts";
import { interleavedRow, isInterleaved, transformersName } from "./names.ts";
import { ROPE_TENSORS, type RopeDivisors } from "./rope.ts";
import { ggufTokenizer, ggufTokenizerNotes } from "./tokenizer.ts";
import { findTensor, rowRange } from "../rows.ts";

/** A tensor and where its rows lie. */
interface Stored extends StoredTensor {
  readonly start: number;
  /** Elements and bytes of one block. */
  readonly block: { readonly elements: number; readonly bytes: number };
  /** Whether llama.cpp has interleaved the halves of each head. */
  readonly interleaved: boolean;
}

/**
 * Opens a GGUF file under the names, shapes and row order of transformers.
 *
 * Configuration and tokenizer are rebuilt from the metadata. The file stays open until the
 * checkpoint is disposed.
 */
export async function openGguf(
  path: string,
  classes: readonly GgufClass[],
): Promise<Checkpoint> {
  using stack = new DisposableStack();
  const file = stack.use(await ByteFile.open(path));
  const header = await readGgufHeader(file);
  const metadata = ggufMetadata(header, path);
  const known = ggufClass(metadata, classes);
  if ((metadata.number("split.count") ?? 1) > 1) {
    throw new TypeError(
      `Cannot open "${path}": it is one of ${metadata.number("split.count")} parts, expected a ` +
        `whole file (join them with llama-gguf-split --merge)`,
    );
  }
  const { headSize } = ggufHeads(metadata, known);
  const tensors = listTensors(header, file, known);
  const embedding = findTensor(tensors, "model.embed_tokens.weight", path);
  const config = ggufConfig(metadata, known, {
    vocabulary: embedding.shape[0] ?? 0,
    tied: !tensors.has("lm_head.weight"),
    attentionBias: tensors.has("model.layers.0.self_attn.q_proj.bias"),
    mlpBias: tensors.has("model.layers.0.mlp.gate_proj.bias"),
    // Phi-3's converter writes 0 for none.
    window: metadata.number(`${known.architecture}.attention.sliding_window`) || undefined,
    rope: await readRopeDivisors(header, file),
  });
  const tokenizer = ggufTokenizer(metadata);

  const readRaw: Checkpoint["readRaw"] = async (name, rows) => {
    const tensor = findTensor(tensors, name, path);
    const range = rowRange(tensor, rows);
    if (!tensor.interleaved) return await readRows(file, tensor, range);
    const whole = {
      start: Math.floor(range.start / headSize) * headSize,
      end: Math.ceil(range.end / headSize) * headSize,
    };
    const bytes = await readRows(file, tensor, whole);
    const size = bytes.length / (whole.end - whole.start);
    const ordered = new Uint8Array((range.end - range.start) * size);
    for (let row = range.start; row < range.end; row++) {
      const from = (interleavedRow(row, headSize) - whole.start) * size;
      ordered.set(bytes.subarray(from, from + size), (row - range.start) * size);
    }
    return ordered;
  };
  const owned = stack.move();
  return {
    path,
    config,
    tokenizer,
    files: ggufGeneration(metadata),
    tensors,
    sources: [path],
    notes: ggufTokenizerNotes(metadata),
    readRaw,
    async read(name, rows) {
      const bytes = await readRaw(name, rows);
      return dequantizeBlocks(findTensor(tensors, name, path).dtype, bytes);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listTensors(
  { tensors }: GgufHeader,
  file: ByteFile,
  known: GgufClass,
): ReadonlyMap<string, Stored> {
  const listed = new Map<string, Stored>();
  for (const tensor of tensors) {
    if (Object.values<string>(ROPE_TENSORS).includes(tensor.name)) continue;
    const name = transformersName(tensor.name, known);
    if (name === undefined) {
      throw new TypeError(
        `Cannot use tensor "${tensor.name}" of "${file.path}": it has no counterpart in the ` +
          `families we know, expected none of this name`,
      );
    }
    listed.set(name, {
      ...describe(tensor, file),
      name,
      interleaved: isInterleaved(tensor.name, known),
    });
  }
  return listed;
}

function describe(tensor: GgufTensor, file: ByteFile): Omit<Stored, "interleaved"> {
  const { name, shape, start } = tensor;
  const at = `tensor "${name}" of "${file.path}"`;
  const type = ggmlType(tensor.type);
  if (type === undefined || !READABLE.includes(type.name)) {
    throw new TypeError(
      `Cannot read ${at}: its type is ${type?.name ?? `number ${tensor.type}`}, expected one of ${
        READABLE.join(", ")
      }`,
    );
  }
  const width = shape.at(-1) ?? 1;
  if (width % type.elements !== 0) {
    throw new RangeError(
      `Cannot read ${at}: rows of ${width} in ${type.name}, expected a multiple of ${type.elements}`,
    );
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const end = start + elements / type.elements * type.bytes;
  if (!(end <= file.size)) {
    throw new RangeError(
      `Cannot read ${at}: the file has ${file.size} bytes, expected at least ${end} ` +
        `(it is truncated, fetch it again)`,
    );
  }
  return { name, dtype: type.name, shape, file: file.path, start, block: type };
}

async function readRows(
  file: ByteFile,
  tensor: Stored,
  rows: RowRange,
): Promise<Uint8Array<ArrayBuffer>> {
  const { start, end, width } = rowRange(tensor, rows);
  const { elements, bytes } = tensor.block;
  const from = start * width / elements;
  const to = end * width / elements;
  if (!Number.isInteger(from) || !Number.isInteger(to)) {
    throw new RangeError(
      `Cannot read values ${start} to ${end} of tensor "${tensor.name}" of "${tensor.file}": ` +
        `it is stored in blocks, expected multiples of ${elements}`,
    );
  }
  return await file.read(tensor.start + from * bytes, tensor.start + to * bytes);
}

async function readRopeDivisors({ tensors }: GgufHeader, file: ByteFile): Promise<RopeDivisors> {
  const found: Record<string, Float32Array> = {};
  for (const [key, name] of Object.entries(ROPE_TENSORS)) {
    const tensor = tensors.find((each) => each.name === name);
    if (!tensor) continue;
    const stored = { ...describe(tensor, file), interleaved: false };
    const all = { start: 0, end: stored.shape[0] ?? 0 };
    found[key] = dequantizeBlocks(stored.dtype, await readRows(file, stored, all));
  }
  return found;
}
