import type { PlannedStep, Summary } from "../event.ts";
import { COLORS, type Finished, type Paint, painter, type Screen, shortPath } from "./screen.ts";
import { count, formatScores, formatSeconds, formatTable } from "./wording.ts";

/** A plan as a table. */
export function planText(steps: readonly PlannedStep[], screen: Screen): string {
  const paint = painter(screen);
  const rows = steps.map(({ name, stage, state, reason }) => [name, stage, state, reason]);
  const [headings, ...lines] = formatTable(["step", "stage", "state", "reason"], rows).split("\n");
  const runs = steps.filter(({ state }) => state === "run" || state === "forced").length;
  const maybe = steps.filter(({ state }) => state === "run?").length;
  const blocked = steps.filter(({ state }) => state === "blocked").length;
  const words = [
    `${runs} of ${count(steps.length, "step")} would run`,
    ...blocked > 0 ? [`${blocked} cannot`] : [],
    ...maybe > 0 ? [`${maybe} may, depending on what those give`] : [],
  ].join(", ");
  return `${paint(headings ?? "", COLORS.note)}\n${lines.join("\n")}\n\n${words}\n`;
}

/** How a run ended, as a table with a last line. */
export function summaryText(
  { ok, seconds, steps, scores }: Summary,
  { finished, paint }: {
    readonly finished: readonly Finished[];
    readonly paint: Paint;
  },
): string {
  const rows = steps.map((step) => {
    const end = finished.find((event) => event.step === step.name);
    // Twelve letters of the key and a star: short, and a shell still finds it.
    const path = end ? `${shortPath(end.path).slice(0, 12 - end.key.length)}*` : "";
    return [step.name, step.state, step.seconds.toFixed(1), formatScores(end?.scores ?? {}), path];
  });
  const headings = ["step", "state", "seconds", "scores", "artifact"];
  const [first, ...lines] = formatTable(headings, rows).split("\n");
  const made = steps.filter(({ state }) => state === "run").length;
  const reused = steps.filter(({ state }) => state === "hit").length;
  const bad = steps.filter(({ state }) => state === "failed").map(({ name }) => name);
  const end = ok
    ? paint(`All went well in ${formatSeconds(seconds)}`, COLORS.run)
    : bad.length > 0
    ? paint(`Failed: ${bad.join(", ")}`, COLORS.failed)
    : paint("Stopped; run the same command again to go on", COLORS.stopped);
  const scored = Object.keys(scores).length > 0 ? `${formatScores(scores)}\n` : "";
  const numbers = `${count(made, "step")} made, ${reused} reused`;
  return `\n${paint(first ?? "", COLORS.note)}\n${
    lines.join("\n")
  }\n\n${scored}${end} (${numbers})\n`;
}
