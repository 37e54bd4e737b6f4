import { Eta } from "./terminal/eta.ts";
import type { Emit, RunEvent } from "./event.ts";
import { COLORS, type Finished, painter, type Screen, shortPath } from "./terminal/screen.ts";
import { summaryText } from "./terminal/tables.ts";
import { formatSeconds, plainText } from "./terminal/wording.ts";

/** Between two lines of progress in a pipe. */
const PIPE_SECONDS = 10;
/** Between two lines of progress in a pipe when the work has got on by a tenth. */
const TENTH_SECONDS = 2;
/** Between two JSON lines of progress. */
const JSON_SECONDS = 1;

/** Tells events as one JSON object a line; progress at most once a second. */
export function tellJson(screen: Screen, now: () => number = seconds): Emit {
  let told = -Infinity;
  return (event) => {
    if (event.type === "progress") {
      if (now() - told < JSON_SECONDS && event.done < event.total) return;
      told = now();
    }
    screen.write(`${JSON.stringify(event)}\n`);
    if (event.type === "failed") screen.error(`${event.message}\n`);
  };
}

/** Tells events to a reader: a live last line in a terminal, now and then a line in a pipe. */
export function tellPeople(screen: Screen, now: () => number = seconds): Emit {
  const paint = painter(screen);
  const finished: Finished[] = [];
  let live = "";
  let pace = { eta: new Eta(), told: now(), share: 0 };
  const line = (text: string) => {
    screen.write(`${clear(live)}${text}\n${live}`);
  };
  const setLive = (text: string) => {
    screen.write(`${clear(live)}${text}`);
    live = text;
  };
  const label = (word: keyof typeof COLORS, text: string = word) =>
    paint(text.padEnd(8), COLORS[word]);

  const showProgress = (event: RunEvent & { readonly type: "progress" }) => {
    const { step, done, total } = event;
    const at = now();
    const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
    const left = pace.eta.left({ at, done, total });
    const words = [
      `${Math.floor(share * 100 + 1e-9)} %`,
      ...left === undefined || share === 1 ? [] : [`about ${formatSeconds(left)} left`],
      ...event.note ? [plainText(event.note)] : [],
    ].join(", ");
    if (screen.columns > 0) {
      const text = `${step} ${bar(share)} ${words}`;
      return setLive([...text].slice(0, Math.max(1, screen.columns - 1)).join(""));
    }
    const due = at - pace.told >= PIPE_SECONDS ||
      (share - pace.share >= 0.1 && at - pace.told >= TENTH_SECONDS);
    if (!due) return;
    pace = { ...pace, told: at, share };
    line(`         ${step}: ${words}`);
  };

  return (event) => {
    switch (event.type) {
      case "plan":
        return;
      case "start":
        pace = { eta: new Eta(), told: now(), share: 0 };
        line(`${label("run")} ${event.step}: ${event.stage}, ${plainText(event.reason)}`);
        return screen.columns > 0 ? setLive(`${event.step} …`) : undefined;
      case "progress":
        return showProgress(event);
      case "note":
        return line(`${label("note")} ${event.step}: ${plainText(event.text)}`);
      case "quarantined":
        return line(
          `${label("note")} ${event.step}: ${event.reason}; moved to ${shortPath(event.path)}`,
        );
      case "done":
      case "reuse": {
        finished.push(event);
        setLive("");
        const took = formatSeconds(event.seconds);
        return line(
          event.type === "done"
            ? `${label("run", "made")} ${event.step} in ${took}`
            : `${label("hit")} ${event.step}: ${event.reason}, took ${took} when it was made`,
        );
      }
      case "failed":
        setLive("");
        return screen.error(`${label("failed")} ${event.step}: ${event.message}\n`);
      case "stopped":
        setLive("");
        return line(`${label("stopped")} ${event.step}: nothing of it is kept`);
      case "summary":
        setLive("");
        return screen.write(summaryText(event, { finished, paint }));
    }
  };
}

function bar(share: number): string {
  const width = 20;
  const full = Math.round(share * width);
  return `${"█".repeat(full)}${"░".repeat(width - full)}`;
}

function clear(live: string): string {
  return live === "" ? "" : "\r\x1b[2K";
}

function seconds(): number {
  return performance.now() / 1000;
}
