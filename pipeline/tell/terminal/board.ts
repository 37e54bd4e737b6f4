import type { MemoryUse, PlannedStep, PlanState, RunEvent } from "../../event.ts";
import { type BlockRow, LABEL } from "./block.ts";
import { Eta } from "./paced_progress.ts";
import { COLORS } from "./screen.ts";
import { cutText, padText, textWidth } from "./text_width.ts";
import { bar } from "./columns.ts";
import {
  count,
  formatBytes,
  formatSeconds,
  plainText,
  progressWords,
  shortNumber,
} from "../../words.ts";

/** Work that is going on. */
interface Work {
  readonly about: string;
  readonly since: number;
  readonly eta: Eta;
  share?: number;
  left?: number | undefined;
  note?: string | undefined;
  memory?: MemoryUse | undefined;
  error?: number;
}

interface Line {
  state: PlanState | "made" | "failed" | "stopped";
  readonly estimate: PlannedStep["estimate"];
  seconds?: number;
  work?: Work | undefined;
}

const OVER: ReadonlySet<Line["state"]> = new Set([
  ...["hit", "made", "failed", "stopped", "skipped", "blocked"] as const,
]);

const ENDS = { done: "made", reuse: "hit", failed: "failed", stopped: "stopped" } as const;

/** All steps of a run with their states, as rows of a terminal; times are in seconds. */
export class Board {
  readonly #lines = new Map<string, Line>();
  #since: number | undefined;
  #stopping = false;

  /** Takes what has happened. */
  take(event: RunEvent, now: number): void {
    this.#since ??= now;
    if (event.type === "stopping") this.#stopping = true;
    if (event.type === "plan") {
      for (const { name, state, estimate } of event.steps) {
        this.#lines.set(name, { state, estimate });
      }
    }
    if (!("step" in event)) return;
    const line = this.#lines.get(event.step) ?? { state: "run", estimate: undefined };
    this.#lines.set(event.step, line);
    if (event.type === "start") {
      const about = `${event.stage}, ${plainText(event.reason)}`;
      line.work = { about, since: now, eta: new Eta() };
    } else if (event.type === "progress" && line.work) {
      const { done, total, note, memory } = event;
      line.work.share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
      line.work.left = line.work.eta.left({ at: now, done, total });
      line.work.note = note;
      line.work.memory = memory ?? line.work.memory;
    } else if (event.type === "note" && line.work && typeof event.data?.error === "number") {
      line.work.error = event.data.error;
    } else if (event.type !== "progress" && event.type !== "note" && event.type !== "quarantined") {
      line.state = ENDS[event.type];
      if (event.type === "done") line.seconds = event.seconds;
      line.work = undefined;
    }
  }

  /** Rows for a terminal of this size: all steps where there is room, else those at work. */
  rows({ columns, rows, now }: {
    readonly columns: number;
    /** 0 where nobody knows. */
    readonly rows: number;
    readonly now: number;
  }): BlockRow[] {
    if (this.#lines.size === 0) return [];
    const height = rows > 0 ? Math.max(1, rows - 1) : 24;
    const total: BlockRow = { text: this.#total(now) };
    const all = [...this.#lines].map(([name, line]) => ({ name, line }));
    const widest = Math.max(...all.map(({ name }) => textWidth(name)));
    const nameWidth = Math.min(widest, Math.max(8, Math.floor(columns / 3)));
    const row = ({ name, line }: { readonly name: string; readonly line: Line }): BlockRow => {
      const short = padText(cutText(name, nameWidth), nameWidth);
      const word = line.work ? "▸ run" : line.state === "hit (remote)" ? "remote" : line.state;
      const text = `${word.padEnd(LABEL)} ${short}  ${rest(line, { columns, now })}`;
      return { text: text.trimEnd(), color: COLORS[line.work ? "run" : line.state] };
    };
    if (all.length + 1 <= height) return [...all.map(row), total];
    const working = all.filter(({ line }) => line.work);
    if (working.length + 1 <= height) return [...working.map(row), total];
    const room = Math.max(0, height - 2);
    const hidden = { text: `… and ${working.length - room} more at work` };
    return [...working.slice(0, room).map(row), hidden, total].slice(0, height);
  }

  /** How far the whole run is. */
  #total(now: number): string {
    const lines = [...this.#lines.values()].filter(({ state }) => state !== "skipped");
    const over = lines.filter(({ state, work }) => OVER.has(state) && !work).length;
    const left = this.#stopping ? "stopping at the next good moment" : leftOf(lines, now);
    const spent = formatSeconds(now - (this.#since ?? now));
    return [`${over} of ${count(lines.length, "step")}`, spent, ...left ? [left] : []].join(", ");
  }
}

function rest(
  { state, estimate, seconds, work }: Line,
  { columns, now }: { readonly columns: number; readonly now: number },
): string {
  if (!work) {
    if (seconds !== undefined) return formatSeconds(seconds);
    return OVER.has(state) || !estimate ? "" : `~${formatSeconds(estimate.seconds)}`;
  }
  const { share, left, note, memory, error } = work;
  const spent = formatSeconds(now - work.since);
  const words = [
    ...share === undefined ? [] : [progressWords(share)],
    ...left === undefined || share === 1 ? [] : [`about ${formatSeconds(left)} left`],
    ...error === undefined ? [] : [`error ${shortNumber(error, 3)}`],
    `for ${spent}`,
    ...memory ? [formatBytes(memory.rss)] : [],
    ...memory?.deviceBytes ? [`device ${formatBytes(memory.deviceBytes)}`] : [],
    // The last one, since it is the one that can be cut.
    ...note ? [plainText(note)] : share === undefined ? [work.about] : [],
  ].join(", ");
  const width = columns >= 100 ? 20 : columns >= 50 ? 10 : 0;
  return share === undefined || width === 0 ? words : `${bar(share, width)} ${words}`;
}

/** How long predicted steps took against what was predicted; 1 until one is done. */
function paceOf(lines: readonly Line[]): number {
  let [took, predicted] = [0, 0];
  for (const { estimate, seconds } of lines) {
    if (!estimate?.predicted || seconds === undefined) continue;
    took += seconds;
    predicted += estimate.seconds;
  }
  return predicted > 0 ? took / predicted : 1;
}

/** Time until all is made, from the pace of what is at work and from earlier runs. */
function leftOf(lines: readonly Line[], now: number): string | undefined {
  const waiting = lines.filter(({ state, work }) => work || !OVER.has(state));
  const pace = paceOf(lines);
  const times = waiting.map(({ estimate, work }) => {
    if (work?.left !== undefined || estimate === undefined) return work?.left;
    const seconds = (estimate.predicted ? pace : 1) * estimate.seconds;
    return Math.max(0, seconds - (work ? now - work.since : 0));
  });
  const known = times.filter((time) => time !== undefined);
  if (known.length === 0) return undefined;
  const together = Math.max(1, waiting.filter(({ work }) => work).length);
  const sum = known.reduce((all, time) => all + time, 0);
  const seconds = Math.max(sum / together, ...known);
  const left = formatSeconds(seconds);
  if (known.length < times.length) return seconds < 1 ? undefined : `more than ${left} left`;
  const sure = waiting.every(({ state, work }) => work || state !== "run?");
  return `${sure ? "about" : "at most about"} ${left} left`;
}
