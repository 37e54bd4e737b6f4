// Slow: plans and runs hundreds of random pipelines.
import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { PlannedStep } from "../../pipeline/event.ts";
import { openProject, type Project, type Run } from "../support/toy/project.ts";

/** A step of the toy pipeline; `feeds` are places of earlier steps. */
interface Node {
  readonly stage: "constant" | "add" | "parity" | "total";
  readonly number: number;
  readonly feeds: readonly number[];
}

/** What is done between two runs, and how the next one is asked for. */
interface Edit {
  readonly at: number;
  readonly node: Node;
  /** Places of steps whose artifacts are removed by hand or damaged. */
  readonly gone: readonly number[];
  readonly damaged: readonly number[];
  readonly force: readonly number[];
  readonly selected: readonly number[] | undefined;
}

/** What a step leaves, as far as it decides bytes. */
interface Content {
  readonly recipe: string;
  readonly bytes: string;
}

/** Small numbers, so that equal steps and equal bytes come up often. */
const number = fc.integer({ min: 0, max: 2 });
const place = fc.nat({ max: 6 });
const node: fc.Arbitrary<Node> = fc.record({
  stage: fc.constantFrom("constant", "add", "parity", "total"),
  number,
  feeds: fc.array(place, { minLength: 1, maxLength: 3 }),
});
const few = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(place, { maxLength: 2 }) },
);
const edit: fc.Arbitrary<Edit> = fc.record({
  at: place,
  node,
  gone: few,
  damaged: few,
  force: few,
  selected: fc.option(fc.array(place, { minLength: 1, maxLength: 4 }), { nil: undefined }),
});
const story = fc.record({
  nodes: fc.array(node, { minLength: 2, maxLength: 7 }),
  edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
});

Deno.test("`run()` does what `plan()` says and what a model of the pipeline says, whatever is edited, removed, forced or selected", async () => {
  let compared = 0;
  const resolved = { hit: 0, run: 0 };
  await fc.assert(
    fc.asyncProperty(story, async ({ nodes, edits }) => {
      await using project = await openProject();
      const model = new Model();
      let now = nodes.map(settle);
      await compare(project, { nodes: now, model });
      for (const edit of edits) {
        now = now.map((node, at) => at === edit.at ? settle(edit.node, at) : node);
        const rows = await compare(project, { nodes: now, model, edit });
        compared += rows.length;
        for (const { row, end } of rows) {
          if (row.state === "run?" && end in resolved) resolved[end as "hit" | "run"]++;
        }
      }
    }),
    { seed: 5, numRuns: 40 },
  );
  ok(compared > 300, `${compared} rows`);
  // Or the cutoff is hardly tried.
  ok(resolved.hit > 10 && resolved.run > 10, JSON.stringify(resolved));
});

/** Plans and runs, and holds both against the model. */
async function compare(
  project: Project,
  { nodes, model, edit }: {
    readonly nodes: readonly Node[];
    readonly model: Model;
    readonly edit?: Edit;
  },
): Promise<{ readonly row: PlannedStep; readonly end: string }[]> {
  const names = (places: readonly number[]) =>
    new Set(places.filter((at) => at < nodes.length).map(nameOf));
  const selected = edit?.selected && names([...edit.selected, 0]);
  const force = names(edit?.force.filter((at) => selected?.has(nameOf(at)) ?? true) ?? []);
  const text = textOf(nodes);
  await spoil(model, edit);
  const rows = await project.plan(text, { selected, force });
  const expected = model.predict(nodes, { selected, force });
  const refused = rows.some(({ state }) => state === "blocked");
  const ends = refused ? model.refuse(nodes, force) : expected;
  const run = await project.run(text, { selected, force });
  model.keep(ends);
  model.learn(run);
  for (const [at, row] of rows.entries()) {
    const what = `${row.name} of\n${text}${JSON.stringify({ edit, row, rows, run: run.states })}`;
    agree(row, { rows, end: run.states[row.name] ?? "", expected: ends, at, what });
  }
  return rows.map((row) => ({ row, end: run.states[row.name] ?? "" }));
}

interface Prediction {
  readonly end: "hit" | "run" | "failed" | "blocked" | "skipped";
  readonly content?: Content;
}

function agree(
  row: PlannedStep,
  { rows, end, expected, at, what }: {
    readonly rows: readonly PlannedStep[];
    readonly end: string;
    readonly expected: readonly Prediction[];
    readonly at: number;
    readonly what: string;
  },
): void {
  if (rows.some(({ state }) => state === "blocked")) {
    // What leads to a part that lacks something alone is not begun, all else is made.
    const { end: predicted } = expected[at]!;
    ok(expected.some((one) => isBad(one.end)), what);
    if (isBad(predicted)) ok(isBad(end), what);
    else strictEqual(end, predicted, what);
    return;
  }
  const { content, end: predicted } = expected[at]!;
  // An earlier step that turns out to be the same makes the artifact first.
  const twins = expected.slice(0, at)
    .some((one) => one.end === "run" && one.content?.recipe === content?.recipe);
  const allowed: Partial<Record<PlannedStep["state"], readonly string[]>> = {
    hit: ["hit"],
    run: twins ? ["hit"] : ["run"],
    forced: ["run", "failed", "blocked"],
    "run?": ["run", "hit", "failed", "blocked"],
    skipped: ["skipped"],
  };
  strictEqual(end, predicted, what);
  ok(allowed[row.state]?.includes(end), what);
}

function isBad(end: string): boolean {
  return end === "failed" || end === "blocked";
}

/** The pipeline without files: which recipes have artifacts, and with which bytes. */
class Model {
  readonly #have = new Set<string>();
  /** Recipes by the path of their artifact. */
  readonly #paths = new Map<string, string>();
  #last: readonly Prediction[] = [];

  predict(
    nodes: readonly Node[],
    { selected, force }: {
      readonly selected: ReadonlySet<string> | undefined;
      readonly force: ReadonlySet<string>;
    },
  ): readonly Prediction[] {
    const have = new Set(this.#have);
    const used = new Set(nodes.flatMap((_, at) => selected?.has(nameOf(at)) ?? true ? [at] : []));
    nodes.toReversed().forEach((node, back) => {
      if (used.has(nodes.length - 1 - back)) { for (const feed of node.feeds) used.add(feed); }
    });
    const ends: Prediction[] = [];
    for (const [at, node] of nodes.entries()) {
      ends.push(
        this.#predict(node, { name: nameOf(at), used: used.has(at), ends, have, selected, force }),
      );
    }
    this.#last = ends;
    return ends;
  }

  #predict(
    node: Node,
    { name, used, ends, have, selected, force }: {
      readonly name: string;
      readonly used: boolean;
      readonly ends: readonly Prediction[];
      readonly have: Set<string>;
      readonly selected: ReadonlySet<string> | undefined;
      readonly force: ReadonlySet<string>;
    },
  ): Prediction {
    const skipped = !(selected?.has(name) ?? true);
    const feeds = node.feeds.map((feed) => ends[feed]!);
    if (skipped && (!used || feeds.some(({ content }) => content === undefined))) {
      return { end: "skipped" };
    }
    if (feeds.some(({ end }) => isBad(end))) return { end: "blocked" };
    const contents = feeds.flatMap(({ content }) => content ?? []);
    if (contents.length < feeds.length) return { end: "failed" };
    const content = contentOf(node, contents);
    const there = have.has(content.recipe);
    if (skipped) return there ? { end: "skipped", content } : { end: "skipped" };
    have.add(content.recipe);
    return { end: there && !force.has(name) ? "hit" : "run", content };
  }

  /** The last prediction where some of it cannot be made: what leads to that alone is not begun. */
  refuse(nodes: readonly Node[], force: ReadonlySet<string>): readonly Prediction[] {
    const ends = this.#last;
    const readers = (at: number) =>
      [...nodes.keys()].filter((other) =>
        ends[other]!.end !== "skipped" && nodes[other]!.feeds.includes(at)
      );
    const isMade = (at: number): boolean => {
      const { end } = ends[at]!;
      if (isBad(end) || end === "skipped") return false;
      return readers(at).length === 0 || readers(at).some(isMade);
    };
    const have = new Set(this.#have);
    return this.#last = ends.map((one, at): Prediction => {
      const { end, content } = one;
      if (isBad(end) || end === "skipped" || !content) return one;
      if (!isMade(at)) return { end: "blocked" };
      // A twin that would have made it may not be begun.
      const there = have.has(content.recipe) && !force.has(nameOf(at));
      have.add(content.recipe);
      return { end: there ? "hit" : "run", content };
    });
  }

  keep(predictions: readonly Prediction[]): void {
    for (const { end, content } of predictions) {
      if (end === "run" && content) this.#have.add(content.recipe);
    }
  }

  /** Remembers where artifacts lie. */
  learn({ events }: Run): void {
    for (const event of events) {
      if (event.type !== "done" && event.type !== "reuse") continue;
      const content = this.#last[Number(event.step.slice(1))]?.content;
      if (content) this.#paths.set(event.path, content.recipe);
    }
  }

  /** Paths of the artifacts of some steps of the last run, which are lost from now on. */
  lose(places: readonly number[]): string[] {
    return places.flatMap((at) => {
      const recipe = this.#last[at]?.content?.recipe;
      const found = [...this.#paths].find(([, one]) => one === recipe);
      if (recipe === undefined || found === undefined || !this.#have.delete(recipe)) return [];
      return [found[0]];
    });
  }
}

/** Removes artifacts, and takes a file from others. */
async function spoil(model: Model, edit: Edit | undefined): Promise<void> {
  for (const path of model.lose(edit?.gone ?? [])) await Deno.remove(path, { recursive: true });
  for (const path of model.lose(edit?.damaged ?? [])) await Deno.remove(`${path}/number`);
}

/** A step as it stands at a place: the first is a constant, the others look back. */
function settle({ stage, number, feeds }: Node, at: number): Node {
  if (at === 0 || stage === "constant") return { stage: "constant", number, feeds: [] };
  const count = { add: 2, parity: 1, total: 3 }[stage];
  return { stage, number, feeds: feeds.slice(0, count).map((feed) => feed % at) };
}

function contentOf({ stage, number }: Node, inputs: readonly Content[]): Content {
  const values = inputs.map(({ bytes }) => Number(bytes.split(" ").at(-1)));
  const sum = values.reduce((total, value) => total + value, 0);
  const recipe = JSON.stringify({
    stage,
    number: stage === "constant" || stage === "add" ? number : undefined,
    inputs: inputs.map(({ bytes }) => bytes),
  });
  switch (stage) {
    case "constant":
      return { recipe, bytes: `${number}` };
    case "add":
      // `add` leaves a file for its one part beside the number.
      return { recipe, bytes: `part ${sum + number}` };
    case "parity":
      return { recipe, bytes: `${Math.abs(sum % 2)}` };
    case "total":
      return { recipe, bytes: `${sum}` };
  }
}

function nameOf(at: number): string {
  return `s${at}`;
}

function textOf(nodes: readonly Node[]): string {
  const lines = nodes.map(({ stage, number, feeds }, at) => {
    const [a, b] = feeds.map(nameOf);
    const from = stage === "total"
      ? `, from: { all: [${feeds.map(nameOf).join(", ")}] }`
      : a === undefined
      ? ""
      : `, from: { a: ${a}${b && stage === "add" ? `, b: ${b}` : ""} }`;
    const parameters = { constant: `value: ${number}`, add: `by: ${number}` }[stage as string];
    return `  ${nameOf(at)}: { stage: ${stage}${from}${
      parameters ? `, with: { ${parameters} }` : ""
    } }\n`;
  });
  return `steps:\n${lines.join("")}`;
}
