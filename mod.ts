/**
 * Quattuor: declarative pipelines that quantize language models and measure what that costs.
 *
 * Run directly it is the command line; imported it is the public API.
 *
 * @module
 */
import project from "./deno.json" with { type: "json" };
import { main, type Program } from "./pipeline/cli/main.ts";
import type { Registry } from "./pipeline/stage.ts";
import { modelCommands } from "./stages/commands/mod.ts";
import { onward } from "./stages/commands/onward.ts";

export { main, type Program } from "./pipeline/cli/main.ts";
export {
  type Call,
  type CommandDefinition,
  type CommandWords,
  defineCommand,
} from "./pipeline/cli/command.ts";
export type {
  Artifact,
  ArtifactRecord,
  FileRecord,
  KeyDocument,
  Metrics,
  Note,
  NoteLevel,
} from "./pipeline/artifact.ts";
export type {
  Emit,
  EndState,
  PlannedStep,
  PlanState,
  RunEvent,
  Summary,
} from "./pipeline/event.ts";
export type { Describe, DescribeOptions, Description } from "./pipeline/description.ts";
export type { ExportCheck, ExportCheckOptions } from "./stages/exchange/export_check.ts";
export type { Breach } from "./stages/exchange/verify.ts";
export { describeDifference } from "./pipeline/plan/difference.ts";
export { canonicalJson, keyOf } from "./pipeline/store/key.ts";
export type { Manifest, ManifestOptions, Step } from "./pipeline/manifest/manifest.ts";
export { parseManifest, readManifest } from "./pipeline/manifest/read_manifest.ts";
export { ManifestError, type Mark, type Problem } from "./pipeline/manifest/problem.ts";
export { StageError } from "./pipeline/errors.ts";
export { openRemote } from "./pipeline/store/remote/open_remote.ts";
export type { Remote } from "./pipeline/store/remote.ts";
export type { Bounds } from "./pipeline/plan/preflight.ts";
export { plan, type PlanOptions } from "./pipeline/plan/plan.ts";
export { run, type RunOptions } from "./pipeline/run/runner.ts";
export { manifestSchema } from "./pipeline/manifest/schema.ts";
export type {
  AnyStage,
  Facts,
  FileDigests,
  Forecast,
  Job,
  Outcome,
  Registry,
  Stage,
  StageDeclaration,
  StageWork,
} from "./pipeline/stage.ts";
export { Store } from "./pipeline/store/store.ts";
export type { Checkpoint } from "./stages/formats/checkpoint.ts";
export type {
  ModelEdits,
  ScriptContext,
  ScriptFigures,
  ScriptInput,
  ScriptTensor,
} from "./stages/script/user_script.ts";

if (import.meta.main) {
  // Modules are read when they are first asked for: most starts need few of them.
  const program: Program = {
    stages: () => import("./stages/mod.ts"),
    version: `quattuor ${project.version}, Deno ${Deno.version.deno}`,
    tools: async (flags) => (await import("./stages/tools.ts")).openTools(flags),
    facts: async (artifact) => (await import("./stages/facts.ts")).factsOf(artifact),
    bounds: async (flags) => (await import("./stages/bounds.ts")).boundsOf(flags),
    describe: async (...asked) =>
      (await import("./stages/describe/describe.ts")).describePath(...asked),
    commands: modelCommands,
    onward,
  };
  Deno.exit(await main(Deno.args, program));
}

// What a program that imports this one gets beside, which the command line does not wait for.

/** Every stage by the name that manifests call it. */
export const stages: Registry = await import("./stages/mod.ts");

/** Checks an export, ours or another program's, against its format, an engine and its origin. */
export const checkExport: typeof import("./stages/exchange/export_check.ts").checkExport =
  (await import("./stages/exchange/export_check.ts")).checkExport;
