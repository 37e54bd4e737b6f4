import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Architecture, Family } from "./family.ts";
import { fusedTensors, unfused } from "./fused_tensors.ts";
import { joinedVectors } from "./joined_tensors.ts";

/** A checkpoint as its layout has it: what is stored as one tensor apart, what is stored apart as one. */
export function laidOut(
  checkpoint: Checkpoint,
  { joined: joins = new Map(), ...layout }: Pick<
    Architecture,
    "fused" | "tensors" | "joined" | "stacks"
  >,
): Checkpoint {
  return unfused(joinedVectors(checkpoint, joins), layout);
}

/** The same by a family alone. */
export function laidOutBy(checkpoint: Checkpoint, family: Family): Checkpoint {
  const layout = family.layout(family.config(checkpoint.config));
  return laidOut(checkpoint, { ...layout, fused: fusedTensors(family, layout) });
}
