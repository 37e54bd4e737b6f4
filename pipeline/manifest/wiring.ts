import type { Draft, Feed, Wire } from "./draft.ts";
import { sortByNeeds } from "./order.ts";
import { suggestion } from "./nearest.ts";
import type { Report } from "./problem.ts";

/** All steps of a manifest by name. */
export type Drafts = ReadonlyMap<string, Draft>;

/** An input as a stage declares it: `"stats?"` may be left out, `"report[]"` is a list. */
export interface DeclaredInput {
  readonly kind: string;
  readonly optional: boolean;
  readonly list: boolean;
}

/** Names of the steps that feed each input of a step. */
export type StepInputs = Readonly<Record<string, string | readonly string[]>>;

/** What feeds each input of a step; reports unknown names, missing inputs and wrong kinds. */
export function readInputs(
  draft: Draft,
  { drafts, at }: { readonly drafts: Drafts; readonly at: Report },
): StepInputs {
  const { name, place, stage, from } = draft;
  const declared = new Map<string, string>(Object.entries(stage?.is.inputs ?? {}));
  const inputs: Record<string, string | readonly string[]> = {};
  for (const [input, wire] of from) {
    for (const feed of wire.feeds) checkStep(feed, { input, drafts, at });
    const text = declared.get(input);
    if (stage !== undefined && text === undefined) {
      const known = [...declared.keys()];
      at(
        wire.place,
        `Cannot find input "${input}" of stage "${stage.name}": ${suggestion(input, known)}`,
      );
    }
    if (text === undefined) continue;
    const wanted = parseInput(text);
    checkWire(wire, { name, input, wanted, drafts, at });
    const steps = wire.feeds.map(({ step }) => step);
    if (steps[0] !== undefined) inputs[input] = wanted.list ? steps : steps[0];
  }
  for (const [input, text] of declared) {
    const { kind, optional } = parseInput(text);
    if (from.has(input) || optional) continue;
    const makers = [...drafts.values()].filter((other) => other.stage?.is.output === kind);
    const such = makers[0] ? `, such as "${makers[0].name}"` : "";
    at(
      place,
      `Cannot run step "${name}" without input "${input}": expected a step that makes ${kind}${such}`,
    );
  }
  return inputs;
}

/** The steps in an order where inputs come first; reports circles. */
export function orderSteps(drafts: Drafts, at: Report): readonly string[] {
  const feeds = (draft: Draft) => [...draft.from.values()].flatMap((wire) => wire.feeds);
  const needs = new Map(
    [...drafts].map(([name, draft]) => [name, feeds(draft).map(({ step }) => step)]),
  );
  const { order, cycles } = sortByNeeds(needs);
  for (const cycle of cycles) {
    const first = drafts.get(cycle[0] ?? "");
    const feed = first && feeds(first).find(({ step }) => cycle.includes(step));
    const trail = [...cycle, cycle[0]].map((name) => `"${name}"`).join(" needs ");
    if (feed) at(feed.place, `Cannot order the steps: ${trail}`);
  }
  return order;
}

/** Reads an input's declaration. */
export function parseInput(text: string): DeclaredInput {
  const [, kind = "", list, optional] = /^(\w+)(\[\])?(\?)?$/.exec(text)!;
  return { kind, optional: optional !== undefined, list: list !== undefined };
}

function checkStep(
  { place, step }: Feed,
  { input, drafts, at }: {
    readonly input: string;
    readonly drafts: Drafts;
    readonly at: Report;
  },
): void {
  if (drafts.has(step)) return;
  at(place, `Cannot feed "${input}" from step "${step}": ${suggestion(step, [...drafts.keys()])}`);
}

function checkWire(
  { place, feeds }: Wire,
  { name, input, wanted, drafts, at }: {
    readonly name: string;
    readonly input: string;
    readonly wanted: DeclaredInput;
    readonly drafts: Drafts;
    readonly at: Report;
  },
): void {
  if (feeds.length === 0 || (feeds.length > 1 && !wanted.list)) {
    const number = wanted.list ? "at least one step" : "one step";
    at(
      place,
      `Cannot feed "${input}" of step "${name}" from ${feeds.length} steps: expected ${number}`,
    );
  }
  for (const feed of feeds) {
    const makes = drafts.get(feed.step)?.stage?.is.output;
    if (makes === undefined || makes === wanted.kind) continue;
    const what = `it makes ${makes}, expected ${wanted.kind}`;
    at(feed.place, `Cannot feed "${input}" of step "${name}" from step "${feed.step}": ${what}`);
  }
}
