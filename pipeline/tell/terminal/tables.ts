import type { PlannedStep } from "../../event.ts";
import { MAKING } from "../../plan/planner.ts";
import { COLORS, painter, type Screen } from "./screen.ts";
import { fittingTable } from "./columns.ts";
import { count, formatBytes, formatSeconds } from "../../words.ts";

/** Which steps of a manifest a partial run looks at. */
export function selectedText(
  { steps, total }: { readonly steps: readonly string[]; readonly total: number },
): string {
  return `${steps.length} of ${count(total, "step")} selected: ${steps.join(", ")}`;
}

/** Terminals of fewer columns have no room for what each step takes. */
const NARROW = 100;

const NUMBERS = new Set(["time", "size", "device", "host", "disk"]);

/** A plan as a table, and what its steps would be made on. */
export function planText(steps: readonly PlannedStep[], screen: Screen, machine?: string): string {
  const paint = painter(screen);
  const costs = steps.some(({ estimate }) => estimate !== undefined);
  // Narrow ones have the peaks of all steps below.
  const narrow = screen.columns > 0 && screen.columns < NARROW;
  const forecasts = !narrow && steps.some(({ forecast }) => forecast !== undefined);
  const rows = steps.map(({ name, stage, state, estimate, forecast, reason }) => {
    const cost = estimate
      ? [`~${formatSeconds(estimate.seconds)}`, `~${formatBytes(estimate.bytes)}`]
      : MAKING.has(state)
      ? ["?", "?"]
      : ["", ""];
    const peaks = !forecasts
      ? []
      : forecast
      ? [forecast.deviceBytes, forecast.hostBytes, forecast.diskBytes].map(formatBytes)
      : Array<string>(3).fill(MAKING.has(state) ? "?" : "");
    return [name, stage, state, ...costs ? cost : [], ...peaks, reason];
  });
  const peaks = forecasts ? ["device", "host", "disk"] : [];
  const columns = ["step", "stage", "state", ...costs ? ["time", "size"] : [], ...peaks, "reason"];
  const table = {
    columns: columns.map((heading) => ({ heading, number: NUMBERS.has(heading) })),
    rows,
  };
  const [headings, ...lines] = fittingTable(table, screen.columns || Infinity);
  const runs = steps.filter(({ state }) => state === "run" || state === "forced").length;
  const maybe = steps.filter(({ state }) => state === "run?").length;
  const blocked = steps.filter(({ state }) => state === "blocked").length;
  const skipped = steps.filter(({ state }) => state === "skipped").length;
  const words = [
    `${runs} of ${count(steps.length, "step")} would run`,
    ...blocked > 0 ? [`${blocked} cannot`] : [],
    ...maybe > 0 ? [`${maybe} may, depending on what those give`] : [],
    ...skipped > 0 ? [`${skipped} skipped`] : [],
  ].join(", ");
  const where = machine === undefined ? "" : `${madeOnText(machine)}\n`;
  const cost = where + costText(steps) + peaksText(steps);
  return `${paint(headings ?? "", COLORS.note)}\n${lines.join("\n")}\n\n${words}\n${cost}`;
}

/** What steps are made on. */
export function madeOnText(machine: string): string {
  return `Steps are made on ${machine}`;
}

/** What all that would or may run takes, as far as earlier runs or the machine's speed tell. */
function costText(steps: readonly PlannedStep[]): string {
  const making = steps.filter(({ state }) => MAKING.has(state));
  const known = making.flatMap(({ estimate }) => estimate ?? []);
  if (making.length === 0) return "";
  if (known.length === 0) return "No earlier run tells how long that takes\n";
  const seconds = known.reduce((sum, one) => sum + one.seconds, 0);
  const bytes = known.reduce((sum, one) => sum + one.bytes, 0);
  const most = making.some(({ state }) => state === "run?") ? "At most about" : "About";
  const rest = making.length - known.length;
  const predicted = known.some(({ predicted }) => predicted)
    ? ", predicted from the speed of this machine where no earlier run tells"
    : "";
  const unknown = rest > 0 ? `, and ${count(rest, "step")} of which no earlier run tells` : "";
  return `${most} ${formatSeconds(seconds)} and ${formatBytes(bytes)}${predicted}${unknown}\n`;
}

/** The largest peaks of all that would or may run, and what it writes together. */
function peaksText(steps: readonly PlannedStep[]): string {
  const known = steps.flatMap(({ forecast }) => forecast ?? []);
  if (known.length === 0) return "";
  const most = (of: "deviceBytes" | "hostBytes") =>
    formatBytes(Math.max(...known.map((forecast) => forecast[of])));
  const disk = formatBytes(known.reduce((sum, { diskBytes }) => sum + diskBytes, 0));
  return `At most ${most("deviceBytes")} on the device and ${
    most("hostBytes")
  } on the host at a time, ${disk} on the disk in all\n`;
}
