import { axisStyle, INK } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, LETTER, LINE, WIDTH } from "./frame.ts";

/** Level bars of one color; a thing without a value has none in this color. */
export interface BarSeries {
  readonly name: string;
  readonly values: readonly (number | undefined)[];
}

const ROW = 26;
const RIGHT = 84;
const BELOW = 56;

/** A bar for each thing, one below the other, as SVG; `words` tells a value at the bar's end. */
export async function barsPlot(
  name: string,
  { names, series, across, words, width = WIDTH }: {
    readonly names: readonly string[];
    readonly series: readonly BarSeries[];
    /** Name of the level axis. */
    readonly across: string;
    words(value: number): string;
    readonly width?: number;
  },
): Promise<string> {
  const longest = LETTER * Math.max(...names.map((name) => name.length)) + 16;
  const left = Math.min(longest, Math.floor(0.4 * width));
  const shown = series.filter(({ values }) => values.some((value) => value !== undefined));
  const top = 16 + LINE;
  const height = top + ROW * names.length + BELOW;
  return await drawSvg(name, { width, height }, {
    legend: {
      top: 4,
      left,
      itemGap: 16,
      textStyle: { color: INK, lineHeight: LINE },
      data: shown.map(({ name }) => name),
    },
    grid: { left, top, width: width - left - RIGHT, height: ROW * names.length },
    xAxis: { ...axisStyle(across), type: "value", min: 0 },
    yAxis: {
      ...axisStyle(""),
      type: "category",
      inverse: true,
      data: names,
      axisTick: { show: false },
      axisLabel: { color: INK, width: left - 12, overflow: "truncate", interval: 0 },
    },
    series: shown.map(({ name, values }) => {
      const { color } = colorOf(series.findIndex((one) => one.name === name));
      return {
        type: "bar",
        name,
        // One bar a thing, whichever color it has.
        stack: "bars",
        barWidth: 16,
        itemStyle: { color },
        data: values.map((value) => value ?? "-"),
        label: {
          show: true,
          position: "right",
          color: INK,
          formatter: ({ value }: { readonly value: unknown }) =>
            typeof value === "number" ? words(value) : "",
        },
      };
    }),
  });
}
