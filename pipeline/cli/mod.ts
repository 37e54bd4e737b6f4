/**
 * What a command is made of that a program hands in as `program.commands`.
 *
 * The one door by which code outside of the pipeline uses its command line.
 *
 * @module
 */
export { type Call, type CommandWords, defineCommand, stagesOf } from "./command.ts";
export { machineFlags } from "./flags.ts";
export { onHangup, onInterrupt } from "./interrupt.ts";
export { findStep } from "./made_step.ts";
export { HERE, openSharedStore, openStore } from "./open_store.ts";
export { tellingErrors } from "./told_error.ts";
export { UsageError } from "./told_error.ts";

// What it finds in stores.
export { replaceFile } from "../store/durable.ts";
export { readRecord } from "../store/record.ts";
export { allRuns } from "../store/runs.ts";
export type { Store } from "../store/store.ts";
export { readMakers } from "../tell/inspect/makers.ts";
export { findNamed, type Named } from "../tell/inspect/named.ts";

// How it tells.
export { descriptionText } from "../tell/inspect/text.ts";
export { PacedProgress } from "../tell/terminal/paced_progress.ts";
export type { Screen } from "../tell/terminal/screen.ts";

// Trees of YAML with the places of their values.
export { mergeTrees } from "../manifest/yaml_tree.ts";
export { formatProblem, ManifestError, type Place, type Problem } from "../manifest/problem.ts";
export { readFile } from "../manifest/sources.ts";
export { readManifest } from "../manifest/read_manifest.ts";
export { parseYaml, type YamlNode } from "../manifest/yaml_tree.ts";
