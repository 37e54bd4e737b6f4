import type { DecoderConfig } from "../models/config.ts";
import { refuseBeyond } from "../models/positions.ts";
import type { PreparedTask } from "./prepare_tasks.ts";
import type { TaskFile } from "./task_file.ts";

/** Throws a `RangeError` for a task that asks a model for more tokens than it was made for. */
export function checkLengths(
  prepared: readonly PreparedTask[],
  config: Pick<DecoderConfig, "positions" | "ropes">,
  beyond_positions: boolean | undefined,
): void {
  for (const { task: { file, maxLength = config.positions } } of prepared) {
    refuseBeyond(config, { context: maxLength, beyond_positions });
    if (file.output_type === "generate_until") promptRoom(file, maxLength);
  }
}

/** Tokens that a prompt may have before an answer; throws a `RangeError` where there are none. */
export function promptRoom({ generation }: TaskFile, maxLength: number): number {
  const room = maxLength - generation.max_tokens;
  if (room >= 1) return room;
  throw new RangeError(
    `Cannot generate ${generation.max_tokens} tokens: the model takes ${maxLength} of prompt and answer together, expected more; lower max_tokens or raise max_length`,
  );
}
