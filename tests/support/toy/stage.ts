import { z } from "zod";
import type { AnyStage } from "../../../pipeline/stage.ts";

/** A stage of one test only, which makes a number. */
export function stageOf(facts: Partial<AnyStage>): AnyStage {
  return {
    about: "Does what a test wants.",
    version: 1,
    params: z.strictObject({}),
    inputs: {},
    output: "number",
    example: {},
    run: () => Promise.resolve(),
    ...facts,
  };
}
