import type { ByteFile } from "../byte_file.ts";
import { ggufGeneration } from "./answer_ends.ts";
import type { Checkpoint, RowRange, StoredTensor } from "../checkpoint.ts";
import { dequantizeBlocks, READABLE } from "./dequantize.ts";
import { ggmlType } from "./ggml_types.ts";
import { ggufClass, ggufConfig, ggufExperts, ggufHeads } from "./config.ts";
import { ggufMetadata, PROVENANCE_KEY } from "./metadata.ts";
import type { GgufClass } from "./model_class.ts";
import { interleavedRow, isInterleaved, transformersName } from "./names.ts";
import { ggufSources, openGgufParts, type PlacedTensor } from "./parts.ts";
import { ROPE_TENSORS, type RopeDivisors, shortest } from "./rope.ts";
import { ggufTokenizer, ggufTokenizerNotes } from "./tokenizer.ts";
import { release } from "../../../kernels/device/release.ts";
import { findTensor, rowRange, shapeInRows } from "../rows.ts";
import { bytesOfTensor } from "./tensor_places.ts";

/** A tensor and where its rows lie. */
interface Stored extends StoredTensor {
  readonly start: number;
  /** The file of `file`. */
  readonly bytes: ByteFile;
  /** Elements and bytes of one block. */
  readonly block: { readonly elements: number; readonly bytes: number };
  /** Whether llama.cpp has interleaved the halves of each head. */
  readonly interleaved: boolean;
}

/**
 * Opens a GGUF file, or all parts of a split one, under the names, shapes and row order of
 * transformers; tensors that have no name there keep their own, and cannot be read.
 *
 * Configuration and tokenizer are rebuilt from the metadata. Files stay open until the checkpoint is
 * disposed.
 */
export async function openGguf(
  path: string,
  classes: readonly GgufClass[],
): Promise<Checkpoint> {
  using stack = new DisposableStack();
  const parts = stack.use(await openGgufParts(path));
  const metadata = ggufMetadata(parts, path);
  const known = ggufClass(metadata, classes);
  const { headSize } = ggufHeads(metadata, known);
  const stored = listTensors(parts.tensors, known);
  const embedding = findTensor(stored, "model.embed_tokens.weight", path);
  const config = ggufConfig(metadata, known, {
    vocabulary: embedding.shape[0] ?? 0,
    tied: !stored.has("lm_head.weight"),
    attentionBias: stored.has("model.layers.0.self_attn.q_proj.bias"),
    mlpBias: stored.has("model.layers.0.mlp.gate_proj.bias"),
    // Phi-3's converter writes 0 for none.
    window: metadata.number(`${known.architecture}.attention.sliding_window`) || undefined,
    rope: await readRopeDivisors(parts.tensors),
    number: (key) => {
      const value = metadata.number(`${known.architecture}.${key}`);
      return value === undefined ? undefined : shortest(value);
    },
    has: (module) => stored.has(`model.layers.0.${module}.weight`),
    experts: ggufExperts(metadata, known),
  });
  const tokenizer = ggufTokenizer(metadata);

  const readRaw: Checkpoint["readRaw"] = async (name, rows) => {
    const tensor = findTensor(stored, name, path);
    const range = rowRange(tensor, rows);
    if (!tensor.interleaved) return await readRows(tensor, range);
    const whole = {
      start: Math.floor(range.start / headSize) * headSize,
      end: Math.ceil(range.end / headSize) * headSize,
    };
    const bytes = await readRows(tensor, whole);
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
    tensors: new Map([...stored, ...unknownTensors(parts.tensors, known)]),
    sources: await ggufSources(path),
    notes: ggufTokenizerNotes(metadata),
    provenance: metadata.text(PROVENANCE_KEY),
    readRaw,
    async read(name, rows) {
      const bytes = await readRaw(name, rows);
      const values = dequantizeBlocks(findTensor(stored, name, path).dtype, bytes);
      if (values.buffer !== bytes.buffer) release(bytes);
      return values;
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listTensors(
  tensors: readonly PlacedTensor[],
  known: GgufClass,
): ReadonlyMap<string, Stored> {
  const listed = new Map<string, Stored>();
  for (const tensor of tensors) {
    if (isRope(tensor)) continue;
    const name = transformersName(tensor.name, known);
    if (name === undefined) continue;
    const interleaved = isInterleaved(tensor.name, known);
    listed.set(name, { ...describe(tensor), name, interleaved });
  }
  return listed;
}

/** What no family has a name for, such as layers that predict several tokens. */
function unknownTensors(
  tensors: readonly PlacedTensor[],
  known: GgufClass,
): (readonly [string, StoredTensor])[] {
  return tensors
    .filter((tensor) => !isRope(tensor) && transformersName(tensor.name, known) === undefined)
    .map(({ name, shape, type, file: { path: file } }) => {
      const dtype = ggmlType(type)?.name ?? `number ${type}`;
      return [name, { name, dtype, shape, file }] as const;
    });
}

function describe(tensor: PlacedTensor): Omit<Stored, "interleaved"> {
  const { name, shape, start, file } = tensor;
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
  const end = start + bytesOfTensor(tensor);
  if (!(end <= file.size)) {
    throw new RangeError(
      `Cannot read ${at}: the file has ${file.size} bytes, expected at least ${end} ` +
        `(it is truncated, fetch it again)`,
    );
  }
  const rows = isGate(tensor) ? [1, ...shape] : shapeInRows(shape);
  return { name, dtype: type.name, shape: rows, file: file.path, bytes: file, start, block: type };
}

async function readRows(tensor: Stored, rows: RowRange): Promise<Uint8Array<ArrayBuffer>> {
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
  return await tensor.bytes.read(tensor.start + from * bytes, tensor.start + to * bytes);
}

/** Whether a tensor is a matrix of one row that is stored as a vector. */
function isGate({ name, shape }: PlacedTensor): boolean {
  return shape.length === 1 && name.endsWith(".ffn_gate_inp_shexp.weight");
}

/** Whether a tensor holds divisors of rotary frequencies, which become part of the config. */
function isRope({ name }: PlacedTensor): boolean {
  return Object.values<string>(ROPE_TENSORS).includes(name);
}

async function readRopeDivisors(tensors: readonly PlacedTensor[]): Promise<RopeDivisors> {
  const found: Record<string, Float32Array> = {};
  for (const [key, name] of Object.entries(ROPE_TENSORS)) {
    const tensor = tensors.find((each) => each.name === name);
    if (!tensor) continue;
    const stored = { ...describe(tensor), interleaved: false };
    const all = { start: 0, end: stored.shape[0] ?? 0 };
    found[key] = dequantizeBlocks(stored.dtype, await readRows(stored, all));
  }
  return found;
}
