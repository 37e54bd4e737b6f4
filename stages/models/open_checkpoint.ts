import type { Checkpoint } from "../formats/checkpoint.ts";
import { completed } from "./completed_checkpoint.ts";
import { openGguf } from "../formats/gguf/checkpoint.ts";
import type { GgufClass } from "../formats/gguf/model_class.ts";
import type { Family } from "./family.ts";
import { knownFamily } from "./find_family.ts";
import { laidOutBy } from "./laid_out.ts";
import { wholeGains } from "./whole_gains.ts";
import { openDirectory } from "../formats/safetensors/directory.ts";
import { checkpointKind } from "./checkpoint_place.ts";
import * as families from "./families/mod.ts";

/** How llama.cpp holds the models of every family that it knows. */
export const GGUF_CLASSES: readonly GgufClass[] = Object.values<Family>(families)
  .flatMap(({ gguf }) => gguf ?? []);

/**
 * Opens a directory of safetensors files as Hugging Face lays them out, see `completed()` for what it
 * has then, or a GGUF file; what a family stores as one tensor is seen as those of its layout, and gains
 * of norms are whole.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const kind = checkpointKind(path);
  const checkpoint = kind === "gguf"
    ? await openGguf(path, GGUF_CLASSES)
    : await openDirectory(path);
  try {
    return inOurForm(kind === "gguf" ? checkpoint : await completed(checkpoint));
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}

function inOurForm(checkpoint: Checkpoint): Checkpoint {
  const family = knownFamily(checkpoint.config)?.family;
  if (!family) return checkpoint;
  const otherwise = family.fused || family.joins || family.stacks;
  return wholeGains(otherwise ? laidOutBy(checkpoint, family) : checkpoint, family);
}
