import { extname } from "node:path";
import { tellingErrors, UsageError } from "../told_error.ts";
import { fitting } from "../fitting.ts";
import { addSelectionOptions, forcedSteps, selectedSteps } from "../selected_steps.ts";
import { openSharedStore } from "../open_store.ts";
import type { PlannedStep } from "../../event.ts";
import { type Graph, graphOf } from "../../tell/graph.ts";
import { dotText, graphSvg } from "../../tell/graph/svg.ts";
import { mermaidText } from "../../tell/graph/mermaid.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { plan as planSteps } from "../../plan/plan.ts";
import type { Store } from "../../store/store.ts";
import { replaceFile } from "../../store/durable.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Texts of a graph by what their format is called. */
const FORMATS: Readonly<Record<string, (graph: Graph) => string | Promise<string>>> = {
  mermaid: mermaidText,
  dot: dotText,
  svg: graphSvg,
  json: (graph) => `${JSON.stringify({ type: "graph", ...graph })}\n`,
};

/** Formats by the end of a file's name. */
const ENDINGS: Readonly<Record<string, string>> = {
  ".mmd": "mermaid",
  ".mermaid": "mermaid",
  ".dot": "dot",
  ".gv": "dot",
  ".svg": "svg",
  ".json": "json",
};

/** Draws the steps of a manifest with what a run would do now. */
export const graph = defineCommand({
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  options(command) {
    addSelectionOptions(command);
    command
      .option("--format <format>", "mermaid, dot, svg or json (default: by --out, else mermaid)")
      .option("--out <file>", "write it to a file");
  },
  run: tellingErrors(async (call) => {
    const { program, screen, flags, words: [path = ""], own } = call;
    const { out } = own as { readonly out?: string };
    const write = FORMATS[formatOf(own, flags)]!;
    const stages = await stagesOf(program);
    const manifest = await readManifest(path, { stages, set: flags.set });
    const store = await openSharedStore(path, flags, manifest);
    const selected = selectedSteps(manifest, own);
    const force = forcedSteps(manifest, flags.force, selected);
    const { steps } = await planSteps(manifest, {
      store,
      stages,
      force,
      selected,
      ...fitting(call),
    });
    const nodes = await Promise.all(steps.map(async (row) => ({
      name: row.name,
      stage: row.stage,
      kind: stages[row.stage]?.output ?? "",
      state: row.state,
      reason: row.reason,
      ...row.key !== undefined && { key: row.key },
      ...await costOf(row, store),
      inputs: manifest.steps.find(({ name }) => name === row.name)?.inputs ?? {},
    })));
    const text = await write(graphOf(nodes));
    if (out === undefined) screen.write(text);
    else await replaceFile(out, text);
    if (out !== undefined && flags.json) {
      screen.write(`${JSON.stringify({ type: "graph", path: out })}\n`);
    }
    return 0;
  }),
});

function formatOf(
  own: { readonly format?: string; readonly out?: string },
  { json }: { readonly json?: boolean },
): string {
  const ending = ENDINGS[extname(own.out ?? "").toLowerCase()];
  if (own.out !== undefined && own.format === undefined && ending === undefined) {
    throw new UsageError(
      `Cannot draw a graph into ${own.out}: its name does not say the format, expected one that ends with ${
        Object.keys(ENDINGS).join(", ")
      }, or --format`,
    );
  }
  const format = own.format ?? ending ?? (json ? "json" : "mermaid");
  if (Object.hasOwn(FORMATS, format)) return format;
  const known = Object.keys(FORMATS).join(", ");
  throw new UsageError(`Cannot draw a graph as "${format}": expected one of ${known}`);
}

/** What the artifact of a step took when it was made, as far as the store or an earlier run tells. */
async function costOf(
  { key, estimate }: PlannedStep,
  store: Store,
): Promise<{ readonly seconds?: number }> {
  const found = key === undefined ? undefined : await store.inspect(key);
  if (found?.state === "whole" || found?.state === "remote") {
    return { seconds: found.stored.record.seconds };
  }
  return estimate ? { seconds: estimate.seconds } : {};
}
