import { elements } from "../../kernels/device/tensor.ts";
import { millions } from "../../pipeline/words.ts";
import {
  type ImportedTensor,
  importedTensors,
  openImport,
} from "../exchange/incoming/open_import.ts";
import { type Import, importOptions } from "../exchange/incoming/import.ts";
import { duration } from "../duration.ts";
import { plannedTensors } from "../facts.ts";
import { type RowRange, textBytes, writeCheckpointTexts } from "../formats/checkpoint.ts";
import { createCheckpointWriter } from "../formats/checkpoint_writer.ts";
import { HalfLosses, type HalfTensor } from "../formats/half_losses.ts";
import { assertFinite, PIECE_VALUES, rowPieces } from "../formats/rows.ts";
import { bytesOf, storedBytes } from "../formats/half.ts";
import { release } from "../../kernels/device/release.ts";
import { resolveModel } from "../formats/hub/hub.ts";
import { checkpointPlace } from "../models/checkpoint_place.ts";
import { architectureOf } from "../models/architecture.ts";
import { PLAIN, writeModelRecord } from "../models/model_record.ts";
import { releasedPeak } from "../models/peaks.ts";
import { modelBytes, parsedBytes } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { LoadDeclaration } from "../load.ts";

/** See `load`. */
export const loadWork: WorkOf<LoadDeclaration> = {
  async forecast(_inputs, { model, dtype, ...params }, { rates }) {
    const path = await resolveModel(checkpointPlace(model));
    using incoming = await openImport(path, importOptions(params));
    const { config, record = PLAIN, lineage, checkpoint } = incoming;
    const { tokenizer } = checkpoint;
    const specifications = importedTensors(incoming, dtype);
    const files = lineage.map(async (file) => (await Deno.stat(`${path}/${file}`)).size);
    const facts = {
      config,
      tensors: plannedTensors(specifications),
      record,
      textBytes: textBytes({ ...checkpoint, config }),
      lineageBytes: (await Promise.all(files)).reduce((a, b) => a + b, 0),
      tokenizer,
    };
    const arrays = specifications.map((tensor) => bytesAtOnce(checkpoint, tensor));
    return {
      ...duration(rates, [{ written: modelBytes(facts) }]),
      deviceBytes: 0,
      hostBytes: releasedPeak(arrays.reduce((a, b) => Math.max(a, b))) +
        parsedBytes(facts, { tokenizes: true }),
      diskBytes: modelBytes(facts),
      facts,
    };
  },
  async run(job, _inputs, { model, dtype, ...params }) {
    const { signal } = job;
    const progress = (done: number, total: number, note?: string) =>
      job.progress(done, total, note);
    const path = await resolveModel(checkpointPlace(model), { signal, progress });
    using incoming = await openImport(path, importOptions(params));
    const { checkpoint, config, record, lineage, warnings } = incoming;
    for (const text of warnings) job.note(text, undefined, "warning");
    const { linearOf, tensors: shapes } = architectureOf(config);
    const tensors = importedTensors(incoming, dtype);
    using writer = await createCheckpointWriter(job.out, tensors);
    const reader = { ...incoming, parts: keepingLast(incoming.parts) };
    for (const [index, tensor] of tensors.entries()) {
      const losses = lossesOf(tensor, { rowsCount: linearOf(tensor.name) !== undefined });
      for await (const bytes of piecesOf(reader, tensor, losses)) {
        signal.throwIfAborted();
        await writer.write(tensor.name, bytes);
      }
      const lost = losses?.finish();
      if (lost !== undefined) job.note(lost, undefined, "warning");
      job.progress(index + 1, tensors.length, tensor.name);
    }
    await writer.close();
    const { tokenizer, files } = checkpoint;
    await writeCheckpointTexts({ config, tokenizer, files }, job.out);
    for (const file of lineage) await Deno.copyFile(`${path}/${file}`, `${job.out}/${file}`);
    if (record) await writeModelRecord(job.out, record);
    const parameters = shapes.values()
      .reduce((sum, shape) => sum + elements(shape), 0);
    const kept = Object.keys(record?.linears ?? {}).length;
    const words = kept > 0 ? `, ${kept} linears in codes` : "";
    job.note(`${millions(parameters)} M parameters in ${tensors.length} tensors${words}`, {
      parameters,
      tensors: tensors.length,
    });
  },
};

/** Bytes a code takes on the host: as it was packed, by itself, and as it is packed again. */
const CODE_BYTES = 3;

/** Bytes of arrays while a tensor is written. */
function bytesAtOnce(
  { tensors }: Import["checkpoint"],
  { name, dtype, shape, linear }: ImportedTensor,
): number {
  const count = elements(shape);
  // A tensor of codes has some a word; those of bytes are counted as if they were nibbles.
  if (linear?.part !== undefined) return dtype === "U32" ? CODE_BYTES * 8 * count : 0;
  const source = tensors.get(name)?.dtype ?? "";
  // Blocks of codes are counted as if they were bytes.
  const sourceBytes = source === "F32" ? 4 : /16$/.test(source) ? 2 : 1;
  const coded = linear ? CODE_BYTES * count : 0;
  const values = Math.min(PIECE_VALUES, count);
  return coded + values * (sourceBytes + 4 + (dtype === "F16" ? 2 : 0));
}

/** What may be lost of a tensor that is kept in half precision. */
function lossesOf(
  { name, dtype, shape, linear }: ImportedTensor,
  { rowsCount }: Pick<HalfTensor, "rowsCount">,
): HalfLosses | undefined {
  if (dtype !== "F16" || linear?.part !== undefined) return undefined;
  return new HalfLosses({ name, columns: shape[1] ?? 1, rowsCount });
}

/** The bytes of a tensor, in pieces that follow each other; of their values `losses` is told. */
async function* piecesOf(
  incoming: Pick<Import, "checkpoint" | "parts" | "values">,
  { name, dtype, shape, linear }: ImportedTensor,
  losses: HalfLosses | undefined,
): AsyncGenerator<Uint8Array> {
  if (linear?.part !== undefined) {
    const parts = await incoming.parts(linear.name);
    yield bytesOf(parts.find(({ part }) => part === linear.part)!.values);
    return;
  }
  const { checkpoint } = incoming;
  const read = linear
    ? await incoming.values(linear.name)
    : (rows: RowRange) => checkpoint.read(name, rows);
  const file = checkpoint.tensors.get(name)?.file ?? checkpoint.path;
  for (const rows of rowPieces(shape)) {
    const values = await read(rows);
    assertFinite(values, name, file, rows);
    losses?.add(values);
    const bytes = storedBytes(values, { name, dtype, file });
    if (bytes.buffer !== values.buffer) release(values);
    yield bytes;
    release(bytes);
  }
}

/** Remembers the parts of one linear, which are written one after another. */
function keepingLast(parts: Import["parts"]): Import["parts"] {
  let held:
    | { readonly name: string; readonly parts: Awaited<ReturnType<typeof parts>> }
    | undefined;
  return async (name) => {
    if (held?.name === name) return held.parts;
    held = undefined;
    held = { name, parts: await parts(name) };
    return held.parts;
  };
}
