import { elements } from "../../kernels/device/tensor.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { rowPieces } from "../formats/rows.ts";
import type { Layout, Retelling } from "./family.ts";
import { findFamily } from "./find_family.ts";
import { retold } from "./retold.ts";
import { moduleOf } from "./site.ts";

/**
 * A checkpoint as its family has it: read as the class that it is by other names, with a class in its config, tensors under `model.`, and the head
 * that the file holds. What is read otherwise than the files say stands in its notes; one of no family
 * stays as it is.
 */
export async function completed(checkpoint: Checkpoint): Promise<Checkpoint> {
  let found: ReturnType<typeof findFamily>;
  let layout: Layout;
  let retelling: Retelling | undefined;
  try {
    found = findFamily(checkpoint.config);
    const config = found.family.config(checkpoint.config);
    layout = found.family.layout(config);
    retelling = found.family.retelling?.(checkpoint.config, config);
  } catch {
    return checkpoint;
  }
  const told = retelling
    ? retold(checkpoint, retelling, layout.tensors)
    : withClass(checkpoint, found);
  return await withOwnHead(underModel(told, layout), layout);
}

function withClass(
  checkpoint: Checkpoint,
  { name, by }: ReturnType<typeof findFamily>,
): Checkpoint {
  if (by === undefined) return checkpoint;
  const config = { ...checkpoint.config as object, architectures: [name] };
  return noted({ ...checkpoint, config }, `config.json names no class; by its ${by} it is ${name}`);
}

/** How tensors are called in whole models; models without a head are saved without it. */
const WHOLE = "model.";

/**
 * Tensors by the names a whole model gives them, where they lack the first part of these; undefined
 * where they do not.
 */
export function wholeNames(
  names: Iterable<string>,
  { embeddings, ownHead }: Pick<Layout, "embeddings" | "ownHead">,
): ReadonlyMap<string, string> | undefined {
  const stored = new Set(names);
  if (!embeddings.startsWith(WHOLE) || stored.has(embeddings)) return undefined;
  if (!stored.has(embeddings.slice(WHOLE.length))) return undefined;
  const head = moduleOf(ownHead);
  return new Map(
    Array.from(stored, (name) => [moduleOf(name) === head ? name : WHOLE + name, name]),
  );
}

function underModel(checkpoint: Checkpoint, layout: Layout): Checkpoint {
  const { tensors, read, readRaw } = checkpoint;
  const names = wholeNames(tensors.keys(), layout);
  if (names === undefined) return checkpoint;
  const stored = (name: string) => names.get(name) ?? name;
  return noted({
    ...checkpoint,
    tensors: new Map(
      [...names].map(([name, stored]) => [name, { ...tensors.get(stored)!, name }]),
    ),
    read: (name, rows) => read(stored(name), rows),
    readRaw: (name, rows) => readRaw(stored(name), rows),
  }, `tensors have no "${WHOLE}" before their names; they are read as if they had`);
}

/**
 * Where the config ties the head to the embeddings and the file has one: if its values are others, the
 * config no longer ties them, else there is none.
 */
async function withOwnHead(
  checkpoint: Checkpoint,
  { embeddings, ownHead, head }: Layout,
): Promise<Checkpoint> {
  const { tensors } = checkpoint;
  const tied = head.linears[0].weight === embeddings;
  if (!tied || !tensors.has(ownHead) || !tensors.has(embeddings)) return checkpoint;
  if (await areEqual(checkpoint, embeddings, ownHead)) {
    return {
      ...checkpoint,
      tensors: new Map([...tensors].filter(([name]) => name !== ownHead)),
    };
  }
  const config = { ...checkpoint.config as object, tie_word_embeddings: false };
  return noted(
    { ...checkpoint, config },
    `config.json ties the head to the embeddings, but "${ownHead}" holds other values; this head is used`,
  );
}

async function areEqual({ tensors, read }: Checkpoint, a: string, b: string): Promise<boolean> {
  const [first, second] = [a, b].map((name) => tensors.get(name)!.shape);
  if (String(first) !== String(second) || elements(first!) === 0) return false;
  for (const rows of rowPieces(first!)) {
    const [mine, others] = [await read(a, rows), await read(b, rows)];
    for (let i = 0; i < mine.length; i++) if (mine[i] !== others[i]) return false;
  }
  return true;
}

function noted(checkpoint: Checkpoint, note: string): Checkpoint {
  return { ...checkpoint, notes: [...checkpoint.notes ?? [], note] };
}
