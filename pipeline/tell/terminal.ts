import type { Note } from "../artifact.ts";
import type { Headline } from "../description.ts";
import { type Emit, eventLine, type RunEvent } from "../event.ts";
import { LiveView } from "./terminal/live_view.ts";
import { PacedProgress } from "./terminal/paced_progress.ts";
import { COLORS, type Finished, painter, type Screen, shortPath } from "./terminal/screen.ts";
import { type Onward, summaryText } from "./terminal/summary_text.ts";
import { madeOnText, selectedText } from "./terminal/tables.ts";
import { count, formatBytes, formatSeconds, plainText } from "../words.ts";

/** Columns of a terminal beyond which there is room for paths. */
const WIDE_COLUMNS = 120;
/** Between two JSON lines of progress of a step. */
const JSON_SECONDS = 1;

/**
 * How much is told.
 *
 * `quiet`: what went wrong and the summary. `brief`: the same, and all steps while they are made in a
 * terminal; of a good run the results alone. `usual`: notes while a step is made, of a reused artifact
 * only its warnings and results. `verbose`: every note, in a reuse too, with its data.
 */
export type Detail = "quiet" | "brief" | "usual" | "verbose";

/** How to tell a run. */
export interface Telling {
  readonly detail?: Detail;
  /** The command that goes on after a stop. */
  readonly again?: string;
  /** What one might do next. */
  readonly onward?: readonly Onward[];
  /** The time in seconds. */
  readonly now?: () => number;
}

/** Tells a run as it goes on; dispose of it to leave the terminal as it was. */
export interface Teller extends Disposable {
  readonly emit: Emit;
  /** Tells what came out, before the summary. */
  headline(headline: Headline): void;
  /** Tells what is no event, such as what a package prints. */
  say(text: string): void;
  /** Tells what went wrong and is no event. */
  error(text: string): void;
}

/** Tells events as one JSON object a line; progress of a step at most once a second. */
export function tellJson(screen: Screen, { detail, now = seconds }: Telling = {}): Teller {
  const told = new Map<string, number>();
  const isDue = (event: RunEvent): boolean => {
    if (detail === "quiet") return event.type === "failed" || event.type === "summary";
    if (event.type !== "progress") return true;
    const { step, done, total } = event;
    if (now() - (told.get(step) ?? -Infinity) < JSON_SECONDS && done < total) return false;
    told.set(step, now());
    return true;
  };
  return {
    emit(event) {
      if (isDue(event)) screen.write(eventLine(event));
      if (event.type === "failed") screen.error(`${event.message}\n`);
      if (event.type === "stopping") screen.error(`\n${STOPPING}\n`);
    },
    // Notes and scores have it.
    headline() {},
    say: (text) => screen.error(`${text}\n`),
    error: (text) => screen.error(`${text}\n`),
    [Symbol.dispose]() {},
  };
}

/** Tells events to a reader: all steps live in a terminal, lines now and then in a pipe. */
export function tellPeople(
  screen: Screen,
  { detail = "usual", again, onward = [], now = seconds }: Telling = {},
): Teller {
  const paint = painter(screen);
  const quiet = detail === "quiet" || detail === "brief";
  const live = screen.columns > 0 && detail !== "quiet" ? new LiveView(screen, now) : undefined;
  const progress = new PacedProgress();
  const finished: Finished[] = [];
  const headlines: Headline[] = [];
  const line = (text: string) => live ? live.line(text) : screen.write(`${text}\n`);
  const error = (text: string) => live ? live.error(text) : screen.error(text);
  const label = (word: keyof typeof COLORS, step: string) =>
    `${paint(word.padEnd(8), COLORS[word])} ${step}`;

  /** What stays of an event on the screen. */
  const lines = (event: RunEvent): string[] => {
    switch (event.type) {
      case "selected":
        return [selectedText(event)];
      case "plan":
        return event.machine === undefined ? [] : [madeOnText(event.machine)];
      case "start":
        progress.start(event.step, now());
        return [`${label("run", event.step)}: ${event.stage}, ${plainText(event.reason)}`];
      case "progress":
        return live ? [] : [progress.line(event, now())].filter((text) => text !== undefined);
      case "note": {
        if (!isWorthIt(event, { replayed: event.replayed, detail })) return [];
        const data = detail === "verbose" && event.data ? ` ${JSON.stringify(event.data)}` : "";
        const word = event.level === "warning" ? "warning" : "note";
        return [`${label(word, event.step)}: ${plainText(event.text)}${data}`];
      }
      case "quarantined": {
        const { step, reason, path } = event;
        return [`${label("warning", step)}: ${plainText(reason)}; moved to ${shortPath(path)}`];
      }
      case "done": {
        const { step, seconds, metrics } = event;
        const memory = detail === "verbose" && metrics
          ? `, ${formatBytes(metrics.rss)} of memory${
            metrics.deviceBytes ? `, ${formatBytes(metrics.deviceBytes)} of device memory` : ""
          }`
          : "";
        return [`${label("made", step)} in ${formatSeconds(seconds)}${memory}`];
      }
      case "reuse": {
        // The steps below and the summary say it in a terminal.
        if (live && detail !== "verbose") return [];
        const took = formatSeconds(event.seconds);
        return [`${label("hit", event.step)}: ${event.reason}, took ${took} when it was made`];
      }
      case "stopped":
        return [
          `${label("stopped", event.step)}: ${
            event.kept ? "what it has finished is kept" : "no part of it was finished"
          }`,
        ];
      case "evicted":
        return [`${paint("note".padEnd(8), COLORS.note)} ${evictedText(event)}`];
      default:
        return [];
    }
  };

  return {
    emit(event) {
      if (event.type === "done" || event.type === "reuse") finished.push(event);
      if (event.type === "failed") {
        const log = event.log === undefined ? "" : `         log: ${shortPath(event.log)}\n`;
        error(`${label("failed", event.step)}: ${event.message}\n${log}`);
      } else if (event.type === "stopping") error(`${live ? "" : "\n"}${STOPPING}\n`);
      const staying = quiet ? [] : lines(event);
      if (live) live.take(event, staying);
      else staying.forEach(line);
      if (event.type !== "summary") return;
      live?.[Symbol.dispose]();
      const { columns } = screen;
      const [brief, paths] = [detail === "brief", detail === "verbose" || columns > WIDE_COLUMNS];
      const told = { finished, headlines, columns, brief, paths };
      screen.write(summaryText(event, { ...told, paint, again, onward }));
    },
    headline: (headline) => void headlines.push(headline),
    say: line,
    error: (text) => error(`${text}\n`),
    [Symbol.dispose]: () => live?.[Symbol.dispose](),
  };
}

const STOPPING =
  "Stopping at the next good moment, such as the end of a layer; Ctrl-C again stops at once";

function isWorthIt(
  { level }: Note,
  { replayed, detail }: { readonly replayed: boolean; readonly detail: Detail },
): boolean {
  if (detail === "verbose") return true;
  return replayed ? level === "warning" || level === "result" : level !== "detail";
}

function seconds(): number {
  return performance.now() / 1000;
}

/** What a run says when its store was larger than its cap. */
export function evictedText(
  { removals, freed, bytes, maxBytes }: RunEvent & { readonly type: "evicted" },
): string {
  const artifacts = removals.filter(({ room }) => room === "artifacts").length;
  const size = `the store has ${formatBytes(bytes)}, its cap is ${formatBytes(maxBytes)}`;
  if (removals.length === 0) return `${size}, and all of it is in use; see gc --help`;
  return `removed ${count(artifacts, "artifact")} that no run uses, ${formatBytes(freed)} freed; ` +
    size;
}
