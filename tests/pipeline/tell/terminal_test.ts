import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import type { PlannedStep, RunEvent } from "../../../pipeline/event.ts";
import { StageError } from "../../../pipeline/errors.ts";
import { Eta } from "../../../pipeline/tell/terminal/paced_progress.ts";
import { type Screen, screenManners, shortPath } from "../../../pipeline/tell/terminal/screen.ts";
import { planText } from "../../../pipeline/tell/terminal/tables.ts";
import { cutText, textWidth, wrapText } from "../../../pipeline/tell/terminal/text_width.ts";
import type { Headline } from "../../../pipeline/description.ts";
import { foldTable, formatTable } from "../../../pipeline/tell/terminal/columns.ts";
import { formatSeconds } from "../../../pipeline/words.ts";
import { type Telling, tellJson, tellPeople } from "../../../pipeline/tell/terminal.ts";
import { TerminalModel } from "../../support/terminal_model.ts";

const key = "0123456789abcdef".repeat(4);
// deno-lint-ignore no-control-regex -- the codes of a terminal
const CODES = /\x1b\[/;

function screenOf({ columns = 0, rows = 24, color = false }) {
  const screen = {
    out: "",
    errors: "",
    /** What a terminal shows of both. */
    model: new TerminalModel(columns || 80, rows),
    columns,
    rows,
    color,
    changes: undefined as Parameters<NonNullable<Screen["watch"]>>[0] | undefined,
    write(text: string) {
      screen.out += text;
      screen.model.write(text);
    },
    error(text: string) {
      screen.errors += text;
      screen.model.write(text);
    },
    watch(changes: Parameters<NonNullable<Screen["watch"]>>[0]) {
      screen.changes = changes;
      return { [Symbol.dispose]: () => void (screen.changes = undefined) };
    },
  };
  return screen;
}

function planned(name: string, facts: Partial<PlannedStep> = {}): PlannedStep {
  return { name, stage: "quantize", state: "run", reason: "not made before", ...facts };
}

function planOf(...steps: PlannedStep[]): RunEvent {
  return { type: "plan", manifest: "a.yaml", store: "/store", steps };
}

function startOf(step: string): RunEvent {
  return { type: "start", step, stage: "quantize", key, reason: "bits 8 → 4" };
}

function resultOf(step: string, seconds = 75) {
  const path = `${Deno.cwd()}/.quattuor/artifacts/${key}`;
  return { step, key, digest: key, path, seconds, scores: {} };
}

function progressOf(step: string, done: number, note?: string): RunEvent {
  const memory = { rss: 1_234_000_000, deviceBytes: 56_000_000 };
  return { type: "progress", step, done, total: 100, ...note !== undefined && { note }, memory };
}

const start = startOf("w4");
const done: RunEvent = { type: "done", ...resultOf("w4"), scores: { perplexity: 19.134123 } };
const summary: RunEvent = {
  type: "summary",
  ok: true,
  seconds: 80,
  steps: [{ name: "w4", state: "run", seconds: 75.25 }],
  scores: { perplexity: 19.134123 },
};

/** Tells events to a screen, each at its second. */
function tellAt(
  screen: Screen,
  events: readonly (readonly [at: number, event: RunEvent])[],
  telling: Telling = {},
) {
  let at = 0;
  const tell = tellPeople(screen, { ...telling, now: () => at });
  for (const [when, event] of events) {
    at = when;
    tell.emit(event);
  }
  return tell;
}

Deno.test("`shortPath()` is relative below the current directory, else the whole path", () => {
  const here = Deno.cwd();
  strictEqual(shortPath(`${here}/a/b`), "a/b");
  strictEqual(shortPath(`${here}/../beside`), `${here}/../beside`);
});

Deno.test("`tellPeople()` writes plain lines without codes into a pipe", () => {
  const screen = screenOf({});
  tellAt(screen, [[0, start], [0, progressOf("w4", 50)], [0, done], [0, summary]]);
  strictEqual(
    screen.out,
    `run      w4: quantize, bits 8 → 4
made     w4 in 1 min 15 s

step  state  seconds  scores
w4    run       75.3  perplexity 19.1341

All went well in 1 min 20 s (1 step made, 0 reused)
`,
  );
  strictEqual(screen.errors, "");
});

Deno.test("`tellPeople()` tells progress in a pipe now and then, each step by its own pace", () => {
  const screen = screenOf({});
  let at = 0;
  const tell = tellPeople(screen, { now: () => at });
  for (const step of ["w4", "w8"]) tell.emit(startOf(step));
  // A hundredth a second: a line every ten seconds, no matter how often the stage speaks.
  for (; at <= 100; at += 0.5) {
    tell.emit(progressOf("w4", at));
    tell.emit(progressOf("w8", at / 2));
  }
  const lines = screen.out.trim().split("\n").slice(2);
  const [w4, w8] = ["w4", "w8"].map((step) => lines.filter((line) => line.includes(`${step}:`)));
  strictEqual(w4?.length, 10);
  strictEqual(w4?.[1], "         w4: 20 %, about 1 min 20 s left");
  strictEqual(w4?.[9], "         w4: 100 %");
  strictEqual(w8?.length, 10);
  strictEqual(w8?.[1], "         w8: 10 %, about 3 min 0 s left");
});

Deno.test("`tellPeople()` shows in a terminal every step, what is at work in full, and the whole", () => {
  const screen = screenOf({ columns: 140 });
  const tell = tellAt(screen, [
    [
      0,
      planOf(
        planned("source", { state: "hit" }),
        planned("w4"),
        planned("far", { state: "hit (remote)" }),
        planned("quality", { state: "run?", estimate: { seconds: 30, bytes: 1 } }),
        planned("other", { state: "skipped" }),
      ),
    ],
    [0, { type: "reuse", ...resultOf("source", 600), reason: "unchanged" }],
    [1, start],
    [1, progressOf("w4", 0)],
    [6, { type: "note", step: "w4", text: "layer 2", data: { error: 0.012345 }, replayed: false }],
    [11, progressOf("w4", 10, "layer 3 of 30,\nquery")],
  ]);
  deepStrictEqual(screen.model.shown, [
    "run      w4: quantize, bits 8 → 4",
    "note     w4: layer 2",
    "hit      source",
    "▸ run    w4       ██░░░░░░░░░░░░░░░░░░ 10 %, about 1 min 30 s left, error 0.0123, for 10 s, 1.2 GB, device 56 MB, layer 3 of 30, query",
    "remote   far",
    "run?     quality  ~30 s",
    "skipped  other",
    // Nobody knows how long the one in the remote store takes.
    "1 of 4 steps, 11 s, more than 2 min 0 s left",
  ]);
  tell.emit(done);
  tell.emit(summary);
  // What is not the log and the summary is gone.
  deepStrictEqual(
    screen.model.lines.slice(0, 5),
    [
      "run      w4: quantize, bits 8 → 4",
      "note     w4: layer 2",
      "made     w4 in 1 min 15 s",
      "",
      "step    state  seconds  scores              artifact",
    ].map((line) => line.replace("step    state", "step  state")),
  );
  strictEqual(screen.changes, undefined);
});

Deno.test("`tellPeople()` adds up the time of a run from the pace and from earlier runs", () => {
  const estimate = { seconds: 40, bytes: 1 };
  const left = (second: PlannedStep, ...events: [number, RunEvent][]) => {
    const screen = screenOf({ columns: 100 });
    using _tell = tellAt(screen, [
      [0, planOf(planned("w4", { estimate }), second)],
      [0, start],
      ...events,
    ]);
    return screen.model.shown.at(-1);
  };
  const run = planned("b", { estimate });
  strictEqual(left(run), "0 of 2 steps, 0.0 s, about 1 min 20 s left");
  strictEqual(
    left(run, [10, progressOf("w4", 0)]),
    "0 of 2 steps, 10 s, about 1 min 10 s left",
  );
  // Its own pace counts more than what was estimated.
  strictEqual(
    left(run, [10, progressOf("w4", 0)], [20, progressOf("w4", 10)]),
    "0 of 2 steps, 20 s, about 2 min 10 s left",
  );
  strictEqual(
    left(planned("b", { state: "run?", estimate })),
    "0 of 2 steps, 0.0 s, at most about 1 min 20 s left",
  );
  strictEqual(left(planned("b", { state: "hit" })), "1 of 2 steps, 0.0 s, about 40 s left");
  strictEqual(left(planned("b")), "0 of 2 steps, 0.0 s, more than 40 s left");
  // What was predicted is held against the first that was: 10 s for 40.
  const predicted = { ...estimate, predicted: true } as const;
  const screen = screenOf({ columns: 100 });
  using _tell = tellAt(screen, [
    [0, planOf(planned("w4", { estimate: predicted }), planned("b", { estimate: predicted }))],
    [0, start],
    [10, { ...done, ...resultOf("w4", 10) }],
  ]);
  strictEqual(screen.model.shown.at(-1), "1 of 2 steps, 10 s, about 10 s left");
  // Two at work together: half the time, but no less than the longer one takes.
  const longer = planned("b", { estimate: { seconds: 60, bytes: 1 } });
  strictEqual(left(longer, [1, startOf("b")]), "0 of 2 steps, 1.0 s, about 1 min 0 s left");
});

Deno.test("`tellPeople()` draws at most ten frames a second, whatever happens", () => {
  const screen = screenOf({ columns: 80 });
  let frames = 0;
  const write = screen.write;
  screen.write = (text) => {
    if (CODES.test(text)) frames++;
    write(text);
  };
  let at = 0;
  const tell = tellPeople(screen, { now: () => at });
  tell.emit(planOf(planned("w4")));
  tell.emit(start);
  for (let ms = 0; ms < 3000; ms++) {
    at = ms / 1000;
    tell.emit(progressOf("w4", at));
    tell.emit({ type: "note", step: "w4", text: `at ${at}`, replayed: false });
  }
  ok(frames >= 25 && frames <= 31, `${frames} frames in three seconds`);
  tell.emit(summary);
  // Yet no line is lost.
  strictEqual(screen.model.lines.filter((line) => line.startsWith("note ")).length, 3000);
});

Deno.test("`tellPeople()` draws a plan at once, however soon before it had nothing to draw", () => {
  const screen = screenOf({ columns: 80 });
  let at = 0;
  using tell = tellPeople(screen, { now: () => at });
  screen.changes?.resized();
  at = 0.01;
  tell.emit(planOf(planned("w4")));
  match(screen.out, CODES);
  strictEqual(screen.model.shown[0], "run      w4");
});

Deno.test("`tellPeople()` cuts rows to the terminal, wide characters and long names too", () => {
  for (const columns of [2, 20, 39, 60]) {
    const screen = screenOf({ columns, rows: 30 });
    const names = ["w4", "量化权重的步骤", `smoothed[${"alpha=0.25,".repeat(9)}]`, "🦙🦙🦙"];
    const write = screen.write;
    let widest = 0;
    screen.write = (text) => {
      write(text);
      for (const row of screen.model.shown) widest = Math.max(widest, textWidth(row));
    };
    const tell = tellAt(screen, [
      [0, planOf(...names.map((name) => planned(name)))],
      ...names.flatMap((name, i): [number, RunEvent][] => [
        [i, { ...startOf(name), reason: "r", stage: "s" } as RunEvent],
        [i + 0.5, progressOf(name, 50, `层 ${i} 🦙 of a long name\nand more`)],
      ]),
    ]);
    ok(widest <= columns, `${widest} of ${columns} columns`);
    const block = screen.model.shown.slice(-5);
    if (columns > 30) {
      match(block[1] ?? "", /^▸ run {4}量化/);
      match(block[2] ?? "", /^▸ run {4}smoothed\[.*…/);
      match(block[3] ?? "", /^▸ run {4}🦙🦙🦙 /);
      match(block[4] ?? "", /^0 of 4 steps/);
      ok(block.every((row) => textWidth(row) < columns));
    }
    tell[Symbol.dispose]();
    ok(!screen.model.lines.some((line) => line.startsWith("▸")), "the block is gone");
  }
});

Deno.test("`tellPeople()` shows only what is at work where the terminal is lower than the steps", () => {
  const names = Array.from({ length: 8 }, (_, i) => `s${i}`);
  const shown = (rows: number, working: number) => {
    const screen = screenOf({ columns: 60, rows });
    using _tell = tellAt(screen, [
      [0, planOf(...names.map((name) => planned(name)))],
      ...names.slice(0, working).map((name, i): [number, RunEvent] => [i + 1, startOf(name)]),
    ]);
    return screen.model.shown.slice(-rows).filter((row) => !row.startsWith("run "))
      .map((row) => row.replace(/(,| \d\.\d s).*/, ""));
  };
  deepStrictEqual(shown(6, 2), ["▸ run    s0  for", "▸ run    s1  for", "0 of 8 steps"]);
  deepStrictEqual(shown(4, 4), ["▸ run    s0  for", "… and 3 more at work", "0 of 8 steps"]);
  deepStrictEqual(shown(2, 4).length, 1);
  deepStrictEqual(shown(20, 1).length, 2, "all steps, seven of which wait to run");
});

Deno.test("`tellPeople()` leaves nothing behind when a terminal becomes narrower or wider", () => {
  const screen = screenOf({ columns: 100, rows: 40 });
  const tell = tellAt(screen, [
    [0, planOf(planned("w4"), planned("quality"))],
    [0, start],
    [1, progressOf("w4", 10, "layer 3 of 30")],
    [2, progressOf("w4", 20, "layer 6 of 30")],
  ]);
  for (const columns of [37, 20, 61, 100]) {
    screen.columns = columns;
    screen.model.resize(columns);
    screen.changes?.resized();
    deepStrictEqual(
      screen.model.lines.map((line) => line.slice(0, 9).trimEnd()),
      ["run      ", "▸ run    ", "run      ", "0 of 2 st"].map((line) => line.trimEnd()),
      `${columns} columns`,
    );
  }
  tell[Symbol.dispose]();
});

Deno.test("`tellPeople()` draws below what others wrote when it goes on after Ctrl-Z", () => {
  const screen = screenOf({ columns: 60 });
  using _tell = tellAt(screen, [[0, planOf(planned("w4"))], [1, start]]);
  screen.model.write("^Z\r\n[1]+  Stopped\r\n$ fg\r\n");
  screen.changes?.resumed();
  const last = screen.model.lines.slice(-4).map((line) => line.slice(0, 9).trimEnd());
  deepStrictEqual(last, ["[1]+  Sto", "$ fg", "▸ run", "0 of 1 st"]);
});

Deno.test("`tellPeople()` writes what goes wrong and what packages print above the steps", () => {
  const screen = screenOf({ columns: 80 });
  const cause = new Error("Cannot do it: it is odd");
  const error = new StageError("w4", { cause });
  const failed: RunEvent = {
    type: "failed",
    step: "w4",
    message: error.message,
    log: `${Deno.cwd()}/logs/1/w4.ndjson`,
    error,
  };
  using tell = tellAt(screen, [
    [0, planOf(planned("w4"), planned("b"))],
    [0, start],
    [1, progressOf("w4", 10)],
  ]);
  tell.say("a package says hello");
  tell.emit(failed);
  match(screen.errors, /^failed +w4: Cannot do it: it is odd\n +log: logs\/1\/w4\.ndjson\n$/);
  deepStrictEqual(screen.model.lines.slice(0, 4).map((line) => line.trim()), [
    "run      w4: quantize, bits 8 → 4",
    "a package says hello",
    "failed   w4: Cannot do it: it is odd",
    "log: logs/1/w4.ndjson",
  ]);
  tell.emit({ type: "stopping", again: "deno task run a.yaml" });
  match(screen.errors, /Stopping at the next good moment.*; Ctrl-C again stops at once\n$/);
});

Deno.test("`tellPeople()` says warnings and results again in a reuse, all when asked, nothing when quiet", () => {
  const notes: RunEvent[] = ([undefined, "warning", "result", "detail"] as const).flatMap((level) =>
    [false, true].map((replayed): RunEvent => ({
      type: "note",
      step: "w4",
      text: `${level} ${replayed ? "again" : "now"}`,
      data: { n: 1 },
      ...level && { level },
      replayed,
    }))
  );
  const told = (detail: Telling["detail"]) => {
    const screen = screenOf({});
    tellAt(screen, notes.map((event) => [0, event]), detail ? { detail } : {});
    return screen.out.trimEnd().split("\n").filter(Boolean);
  };
  deepStrictEqual(told("usual"), [
    "note     w4: undefined now",
    "warning  w4: warning now",
    "warning  w4: warning again",
    "note     w4: result now",
    "note     w4: result again",
  ]);
  deepStrictEqual(told(undefined), told("usual"));
  strictEqual(told("verbose").length, 8);
  strictEqual(told("verbose").at(-1), 'note     w4: detail again {"n":1}');
  deepStrictEqual(told("quiet"), []);
});

Deno.test("`tellPeople()` tells when quiet only what went wrong and the summary", () => {
  for (const columns of [0, 80]) {
    const screen = screenOf({ columns });
    const error = new StageError("w4", { cause: new Error("Cannot do it: it is odd") });
    const failed: RunEvent = { type: "failed", step: "w4", message: error.message, error };
    tellAt(screen, [[0, planOf(planned("w4"))], [0, start], [20, progressOf("w4", 50)]], {
      detail: "quiet",
    }).emit(failed);
    strictEqual(screen.out, "");
    tellAt(screen, [[0, summary]], { detail: "quiet" });
    match(screen.out, /^\nstep +state +seconds\nw4 +run +75\.3/);
    doesNotMatch(screen.out, CODES);
  }
});

Deno.test("`tellPeople()` tells at the end what reuse saved and how to go on", () => {
  const screen = screenOf({});
  const steps = [
    { name: "source", state: "hit" as const, seconds: 0.25 },
    { name: "w4", state: "stopped" as const, seconds: 12 },
  ];
  tellAt(screen, [
    [0, { type: "reuse", ...resultOf("source", 725), reason: "unchanged" }],
    [0, start],
    [12, { type: "stopped", step: "w4", kept: true }],
    [12, { type: "summary", ok: false, seconds: 12.5, steps, scores: {} }],
  ], { again: "deno task run a.yaml --set x=1" });
  strictEqual(
    screen.out,
    `hit      source: unchanged, took 12 min 5 s when it was made
run      w4: quantize, bits 8 → 4
stopped  w4: what it has finished is kept

step    state    seconds  saved
source  hit          0.3  12 min 5 s
w4      stopped     12.0

Stopped after 13 s (0 steps made, 1 reused, which saved 12 min 5 s)
What is finished is kept; to go on:
  deno task run a.yaml --set x=1
`,
  );
});

Deno.test("`tellPeople()` colors only where the screen wants it", () => {
  for (const color of [true, false]) {
    const screen = screenOf({ color });
    const error = new StageError("w4", { cause: new Error("Cannot do it: it is odd") });
    const failed: RunEvent = { type: "failed", step: "w4", message: error.message, error };
    tellAt(screen, [[0, failed], [0, done], [0, { ...summary, ok: false }]]);
    (color ? match : doesNotMatch)(screen.out, CODES);
    match(screen.errors, /Cannot do it: it is odd\n$/);
  }
});

Deno.test("`tellJson()` writes one JSON object a line with its time, and progress once a second", () => {
  const screen = screenOf({});
  let at = 0;
  const { emit } = tellJson(screen, { now: () => at });
  const error = new StageError("w4", { key, cause: new Error("two\nlines") });
  const failed: RunEvent = { type: "failed", step: "w4", message: error.message, key, error };
  const begun = Date.now();
  emit(start);
  for (; at < 5; at += 0.1) {
    emit(progressOf("w4", at, "line\nbreak"));
    emit(progressOf("w8", at));
  }
  emit(failed);
  emit(summary);
  const events = screen.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  const types = events.map(({ type, step }) => type === "progress" ? step : type);
  deepStrictEqual(types.sort(), [
    "failed",
    "start",
    "summary",
    ...Array(5).fill("w4"),
    ...Array(5).fill("w8"),
  ]);
  for (const event of events) {
    const { time } = event;
    strictEqual(Object.keys(event)[1], "time");
    strictEqual(new Date(time).toISOString(), time);
    ok(Date.parse(time) >= begun && Date.parse(time) <= Date.now());
    delete event.time;
  }
  deepStrictEqual(events.at(-2), {
    type: "failed",
    step: "w4",
    message: 'Cannot finish step "w4": two lines',
    key,
    error: { step: "w4", key },
  });
  deepStrictEqual(events.at(-1), summary);
  const quiet = screenOf({});
  for (const event of [start, failed, summary]) tellJson(quiet, { detail: "quiet" }).emit(event);
  deepStrictEqual(
    quiet.out.trimEnd().split("\n").map((line) => JSON.parse(line).type),
    ["failed", "summary"],
  );
});

Deno.test("`screenManners()` goes by the terminal and by what the environment asks for", () => {
  const cases: [env: Record<string, string>, terminal: boolean, live: boolean, color: boolean][] = [
    [{ TERM: "xterm" }, true, true, true],
    [{}, true, true, true],
    [{ TERM: "xterm" }, false, false, false],
    [{ TERM: "dumb" }, true, false, false],
    [{ CI: "true" }, true, false, true],
    [{ CI: "1" }, true, false, true],
    [{ CI: "false" }, true, true, true],
    [{ NO_COLOR: "1" }, true, true, false],
    [{ NO_COLOR: "" }, true, true, true],
    [{ FORCE_COLOR: "1" }, false, false, true],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, false, false, true],
    [{ FORCE_COLOR: "0" }, true, true, false],
    [{ FORCE_COLOR: "3", TERM: "dumb" }, true, false, true],
  ];
  for (const [env, terminal, live, color] of cases) {
    const got = screenManners(new Map(Object.entries(env)), { terminal });
    deepStrictEqual(got, { live, color }, JSON.stringify(env));
  }
});

Deno.test("`textWidth()` counts columns as terminals do", () => {
  const cases: [text: string, width: number][] = [
    ["", 0],
    ["plain ~", 7],
    ["量化", 4],
    ["ﾊﾝｶｸ", 4],
    ["ｆｕｌｌ", 8],
    ["한국", 4],
    ["e\u0301", 1],
    ["🦙", 2],
    ["👩‍👩‍👧", 2],
    ["❤️", 2],
    ["█░▸…→", 5],
    ["a\u200bb", 2],
  ];
  for (const [text, width] of cases) strictEqual(textWidth(text), width, JSON.stringify(text));
});

Deno.test("`cutText()` cuts between characters and keeps within the columns", () => {
  const cases: [text: string, columns: number, cut: string][] = [
    ["abc", 3, "abc"],
    ["abcd", 3, "ab…"],
    ["量化权重", 8, "量化权重"],
    ["量化权重", 7, "量化权…"],
    ["量化权重", 6, "量化…"],
    ["ae\u0301i", 2, "a…"],
    ["e\u0301ab", 2, "e\u0301…"],
    ["abc", 1, "…"],
    ["abc", 0, ""],
  ];
  for (const [text, columns, cut] of cases) strictEqual(cutText(text, columns), cut);
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
No earlier run tells how long that takes
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
  strictEqual(formatTable(["name", "b"], [["量化", "x"]]), "name  b\n量化  x");
  strictEqual(formatTable(["name", "b"], [["x", ""]]), "name  b\nx");
});

Deno.test("`foldTable()` keeps within the columns: numbers whole, the widest texts wrapped", () => {
  const table = {
    columns: [{ heading: "name" }, { heading: "n", number: true }, { heading: "about" }],
    rows: [["a", "1.5", "words that go on and on"], ["b", "10", "few"]],
  };
  deepStrictEqual(foldTable(table, 80), [
    "name    n  about",
    "a     1.5  words that go on and on",
    "b      10  few",
  ]);
  deepStrictEqual(foldTable(table, 30), [
    "name    n  about",
    "a     1.5  words that go on",
    "           and on",
    "b      10  few",
  ]);
  for (let width = 8; width < 40; width++) {
    for (const line of foldTable(table, width)) ok(textWidth(line) <= width, `${width}: ${line}`);
  }
  deepStrictEqual(foldTable(table, 20), [
    "name    n  about",
    "a     1.5  words",
    "           that go",
    "           on and on",
    "b      10  few",
  ]);
  deepStrictEqual(foldTable(table, 12), [
    "a",
    "  n: 1.5",
    "  about:",
    "  words that",
    "  go on and",
    "  on",
    "b",
    "  n: 10",
    "  about: few",
  ]);
});

Deno.test("`wrapText()` breaks between words, and words only where they must be", () => {
  const cases: [text: string, columns: number, lines: string[]][] = [
    ["", 5, [""]],
    ["one two", 7, ["one two"]],
    ["one two", 6, ["one", "two"]],
    ["abcdefgh ij", 4, ["abcd", "efgh", "ij"]],
    ["量化 权重", 4, ["量化", "权重"]],
    ["量化权重", 3, ["量", "化", "权", "重"]],
  ];
  for (const [text, columns, lines] of cases) deepStrictEqual(wrapText(text, columns), lines);
});

const HEADLINE: Headline = {
  title: "Two ways",
  table: {
    columns: [{ heading: "" }, { heading: "perplexity", number: true }],
    rows: [["half", "19.134"], ["codes", "23.83"]],
  },
  notes: ["codes keep most of it"],
  tellsScores: true,
};

Deno.test("`tellPeople()` ends with what came out, and tells no score twice", () => {
  const screen = screenOf({});
  const tell = tellAt(screen, [[0, start], [0, done]], {
    onward: [{ about: "A page about it", command: "report a.yaml" }],
  });
  tell.headline(HEADLINE);
  tell.emit(summary);
  strictEqual(
    screen.out,
    `run      w4: quantize, bits 8 → 4
made     w4 in 1 min 15 s

step  state  seconds
w4    run       75.3

Two ways
       perplexity
half       19.134
codes       23.83

codes keep most of it

All went well in 1 min 20 s (1 step made, 0 reused)
A page about it: report a.yaml
`,
  );
});

Deno.test("`tellPeople()` tells when brief of a good run its results and what to do next", () => {
  for (const columns of [0, 80]) {
    const screen = screenOf({ columns });
    const onward = [
      { about: "A page", command: "report a.yaml" },
      { about: "Talk to it", command: "serve" },
    ];
    const tell = tellAt(screen, [[0, planOf(planned("w4"))], [0, start], [20, done]], {
      detail: "brief",
      onward,
    });
    if (columns === 0) strictEqual(screen.out, "");
    tell.headline(HEADLINE);
    tell.emit(summary);
    const shown = columns === 0 ? screen.out : screen.model.lines.join("\n");
    strictEqual(
      shown.trim(),
      `Two ways
       perplexity
half       19.134
codes       23.83

codes keep most of it

All went well in 1 min 20 s (1 step made, 0 reused)

A page      report a.yaml
Talk to it  serve`,
    );
    tellAt(screen, [[0, { ...summary, ok: false }]], { detail: "brief" });
    match(screen.out, /step +state +seconds/);
  }
});

Deno.test("`tellPeople()` shows paths of artifacts where there is room, or when asked", () => {
  for (
    const [columns, detail, shown] of [
      [0, "usual", false],
      [0, "verbose", true],
      [120, "usual", false],
      [121, "usual", true],
    ] as const
  ) {
    const screen = screenOf({ columns });
    tellAt(screen, [[0, done], [0, summary]], { detail });
    const paths = /artifact\nw4 .*\.quattuor\/artifacts\/0123456789ab\*\n/;
    (shown ? match : doesNotMatch)(screen.out, paths, `${columns} ${detail}`);
  }
});

Deno.test("`tellPeople()` tells of a run that was refused no table of steps", () => {
  const screen = screenOf({});
  const steps = (["failed", "blocked"] as const).map((state) => ({
    name: state,
    state,
    seconds: 0,
  }));
  tellAt(screen, [[0, { type: "summary", ok: false, seconds: 0.1, steps, scores: {} }]]);
  strictEqual(screen.out, "\nFailed: failed (nothing was begun)\n");
});
