import { z } from "zod";
import type { DecoderConfig } from "./config.ts";

/** Whether a stage takes windows that are longer than the model was made for. */
export const beyondPositions = z.boolean().optional().describe(
  "Take windows that are longer than the model was made for.",
);

/** Throws where windows are longer than the model was made for, unless that is what is asked. */
export function refuseBeyond(
  { positions, ropes }: Pick<DecoderConfig, "positions" | "ropes">,
  { context, beyond_positions: asked = false }: {
    readonly context: number;
    readonly beyond_positions?: boolean | undefined;
  },
): void {
  if (asked) return;
  const most = Math.max(
    positions,
    // What grows with a sequence is made for what it grows to.
    ...ropes.map(({ scaling }) => scaling.type === "dynamic" ? scaling.factor * positions : 0),
  );
  if (context <= most) return;
  throw new RangeError(
    `Cannot take windows of ${context} tokens: the model was made for ${most}, expected at most that; lower context, or set beyond_positions: true`,
  );
}
