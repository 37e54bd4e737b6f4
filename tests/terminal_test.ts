import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../pipeline/event.ts";
import { StageError } from "../pipeline/run/stage_error.ts";
import { Eta } from "../pipeline/terminal/eta.ts";
import type { Screen } from "../pipeline/terminal/screen.ts";
import { planText } from "../pipeline/terminal/tables.ts";
import { formatSeconds, formatTable } from "../pipeline/terminal/wording.ts";
import { tellJson, tellPeople } from "../pipeline/terminal.ts";

const key = "0123456789abcdef".repeat(4);

function screenOf({ columns = 0, color = false }): Screen & { out: string; errors: string } {
  return {
    out: "",
    errors: "",
    columns,
    color,
    write(text) {
      this.out += text;
    },
    error(text) {
      this.errors += text;
    },
  };
}

const start: RunEvent = { type: "start", step: "w4", stage: "quantize", key, reason: "bits 8 → 4" };
const done: RunEvent = {
  type: "done",
  step: "w4",
  key,
  digest: key,
  path: `${Deno.cwd()}/.quattuor/artifacts/${key}`,
  seconds: 75,
  scores: { perplexity: 19.134123 },
};
const summary: RunEvent = {
  type: "summary",
  ok: true,
  seconds: 80,
  steps: [{ name: "w4", state: "run", seconds: 75.25 }],
  scores: { perplexity: 19.134123 },
};

function progress(done: number, total: number, note?: string): RunEvent {
  return { type: "progress", step: "w4", done, total, ...note !== undefined && { note } };
}

Deno.test("`tellPeople()` writes plain lines without codes into a pipe", () => {
  const screen = screenOf({});
  const tell = tellPeople(screen, () => 0);
  for (const event of [start, progress(50, 100), done, summary]) tell(event);
  strictEqual(
    screen.out,
    `run      w4: quantize, bits 8 → 4
made     w4 in 1 min 15 s

step  state  seconds  scores              artifact
w4    run       75.3  perplexity 19.1341  .quattuor/artifacts/0123456789ab*

perplexity 19.1341
All went well in 1 min 20 s (1 step made, 0 reused)
`,
  );
  strictEqual(screen.errors, "");
});

Deno.test("`tellPeople()` tells progress in a pipe now and then, with the time left", () => {
  const screen = screenOf({});
  let at = 0;
  const tell = tellPeople(screen, () => at);
  tell(start);
  // A hundredth a second: a line every ten seconds, no matter how often the stage speaks.
  for (; at <= 100; at += 0.5) tell(progress(at, 100));
  const lines = screen.out.trim().split("\n").slice(1);
  strictEqual(lines.length, 10);
  strictEqual(lines[1], "         w4: 20 %, about 1 min 20 s left");
  strictEqual(lines[9], "         w4: 100 %");
});

Deno.test("`tellPeople()` keeps a live line within the terminal and takes it away at the end", () => {
  const screen = screenOf({ columns: 40 });
  const tell = tellPeople(screen, () => 0);
  tell(start);
  for (let i = 1; i <= 100; i++) tell(progress(i, 100, `layer ${i} with a long name\nand more`));
  tell({ type: "note", step: "w4", text: "two\nlines \x1b[31m", replayed: false });
  tell(done);
  tell(summary);
  // deno-lint-ignore no-control-regex -- the code that clears a line
  for (const live of screen.out.split(/\r\x1b\[2K|\n/).slice(1, 100)) {
    ok([...live].length < 40, live);
  }
  ok(screen.out.includes(" 29 %"));
  // A terminal in miniature: the line after the last clear is what stays.
  // deno-lint-ignore no-control-regex -- the code that clears a line
  const shown = screen.out.split("\n").map((line) => line.replace(/^[^]*\r\x1b\[2K/, ""));
  deepStrictEqual(shown.slice(0, 4), [
    "run      w4: quantize, bits 8 → 4",
    "note     w4: two lines [31m",
    "made     w4 in 1 min 15 s",
    "",
  ]);
});

Deno.test("`tellPeople()` colors only where the screen wants it", () => {
  for (const color of [true, false]) {
    const screen = screenOf({ color });
    const tell = tellPeople(screen, () => 0);
    const error = new StageError("w4", { cause: new Error("Cannot do it: it is odd") });
    tell({ type: "failed", step: "w4", message: error.message, error });
    tell(done);
    tell({ ...summary, ok: false });
    // deno-lint-ignore no-control-regex -- the code that begins a color
    (color ? match : doesNotMatch)(screen.out, /\x1b\[/);
    match(screen.errors, /Cannot do it: it is odd\n$/);
  }
});

Deno.test("`tellJson()` writes one JSON object a line and progress once a second", () => {
  const screen = screenOf({});
  let at = 0;
  const tell = tellJson(screen, () => at);
  const error = new StageError("w4", { key, cause: new Error("two\nlines") });
  tell(start);
  for (; at < 5; at += 0.1) tell(progress(at, 10, "line\nbreak"));
  tell({ type: "failed", step: "w4", message: error.message, error });
  tell(summary);
  const events: RunEvent[] = screen.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  deepStrictEqual(
    events.map(({ type }) => type),
    ["start", ...Array(5).fill("progress"), "failed", "summary"],
  );
  deepStrictEqual(events.at(-2), {
    type: "failed",
    step: "w4",
    message: 'Cannot finish step "w4": two lines',
    error: { step: "w4", key },
  });
  deepStrictEqual(events.at(-1), summary);
});

Deno.test("`planText()` shows every step with its reason", () => {
  const text = planText([
    { name: "source", stage: "load", state: "hit", reason: "unchanged" },
    { name: "w4", stage: "quantize", state: "run", reason: "bits 8 → 4" },
    { name: "quality", stage: "evaluate", state: "run?", reason: 'depends on "w4"' },
  ], screenOf({}));
  strictEqual(
    text,
    `step     stage     state  reason
source   load      hit    unchanged
w4       quantize  run    bits 8 → 4
quality  evaluate  run?   depends on "w4"

1 of 3 steps would run, 1 may, depending on what those give
`,
  );
});

Deno.test("`Eta.left()` goes by the pace since the first word", () => {
  const eta = new Eta();
  strictEqual(eta.left({ at: 100, done: 10, total: 110 }), undefined);
  strictEqual(eta.left({ at: 101, done: 20, total: 110 }), 9);
  strictEqual(eta.left({ at: 109, done: 100, total: 110 }), 1);
  strictEqual(new Eta().left({ at: 0, done: NaN, total: NaN }), undefined);
});

Deno.test("`formatSeconds()` uses the units people use", () => {
  const cases: [seconds: number, text: string][] = [
    [0, "0.0 s"],
    [9.94, "9.9 s"],
    [9.96, "10 s"],
    [59.6, "1 min 0 s"],
    [3599.4, "59 min 59 s"],
    [3600, "1 h 0 min"],
    [7199, "2 h 0 min"],
  ];
  for (const [seconds, text] of cases) strictEqual(formatSeconds(seconds), text);
});

Deno.test("`formatTable()` sets numbers flush right and leaves no blanks at the end", () => {
  strictEqual(
    formatTable(["a", "n"], [["x", "1.5"], ["", "10.25"]]),
    "a      n\nx    1.5\n   10.25",
  );
  strictEqual(formatTable(["name", "b"], [["x", ""]]), "name  b\nx");
});
