import { barsPlot } from "../chart/bars.ts";
import { count, formatBytes, formatSeconds } from "../../words.ts";
import { madeOn, madeSeconds, type PagePart, sizeOf, type StepReport } from "./gather.ts";
import { tableHtml } from "../html.ts";
import { plotHtml } from "./plot.ts";

/** What every step and stage took: in this run, and when its artifact was made. */
export async function timePart(steps: readonly StepReport[]): Promise<PagePart> {
  const number = true;
  const machines = steps.some((step) => madeOn(step) !== undefined);
  const times = [
    { heading: "This run, s", number },
    { heading: "When made, s", number },
    { heading: "Size", number },
  ];
  const rows = steps.map((step) => [
    step.name,
    step.stage,
    step.state,
    ...cellsOf([step]),
    ...machines ? [madeOn(step) ?? ""] : [],
  ]);
  const stages = [...Map.groupBy(steps, ({ stage }) => stage)];
  const html = [
    await plotOf(steps),
    "<h3>By step</h3>",
    tableHtml(
      {
        columns: [
          { heading: "Step" },
          { heading: "Stage" },
          { heading: "State" },
          ...times,
          ...machines ? [{ heading: "Made on" }] : [],
        ],
        rows,
      },
      {
        label: "Seconds by step",
        foot: ["All", "", "", ...cellsOf(steps), ...machines ? [""] : []],
      },
    ),
    "<h3>By stage</h3>",
    tableHtml({
      columns: [{ heading: "Stage" }, { heading: "Steps", number }, ...times],
      rows: stages.map(([stage, some]) => [stage, String(some.length), ...cellsOf(some)]),
    }, { label: "Seconds by stage" }),
  ].join("\n");
  return { id: "time", title: "Time", html };
}

/** Sums over some steps: seconds of this run, seconds when made, size. */
function cellsOf(steps: readonly StepReport[]): string[] {
  const sum = (values: readonly (number | undefined)[], words: (value: number) => string) => {
    const known = values.flatMap((value) => value ?? []);
    return known.length > 0 ? words(known.reduce((a, b) => a + b, 0)) : "";
  };
  const seconds = (value: number) => value.toFixed(1);
  return [
    sum(steps.map(({ seconds }) => seconds), seconds),
    sum(steps.map(madeSeconds), seconds),
    sum(steps.map(sizeOf), formatBytes),
  ];
}

async function plotOf(steps: readonly StepReport[]): Promise<string> {
  const isReused = ({ state }: StepReport) => state === "hit" || state === "skipped";
  return await plotHtml("time", {
    title: `Seconds that ${count(steps.length, "step")} took in this run, or when they were made`,
    draw: (name, width) =>
      barsPlot(name, {
        names: steps.map(({ name }) => name),
        across: "Seconds",
        words: formatSeconds,
        series: [
          {
            name: "in this run",
            values: steps.map((step) => isReused(step) ? undefined : step.seconds || undefined),
          },
          {
            name: "when it was made",
            values: steps.map((step) => isReused(step) ? madeSeconds(step) : undefined),
          },
        ],
        width,
      }),
  });
}
