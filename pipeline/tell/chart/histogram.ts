import type { Chart } from "../../description.ts";
import { axisStyle, INK } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, frameOf, LINE, upright, WIDTH } from "./frame.ts";

/** Height of the legend, with the first panel's title below it. */
const TOP = 60;
/** Below a count of one, so that its bar is seen. */
const LEAST = 0.5;

/**
 * Histograms one below the other, as SVG: at each place a bar for each series, beside each other. All have
 * the same series and places at even distances; counts are on a logarithmic axis, for it is the few
 * that one looks for.
 */
export async function histogramPlot(
  name: string,
  { panels, width = WIDTH }: {
    readonly panels: readonly Pick<Chart, "title" | "across" | "up" | "series">[];
    readonly width?: number;
  },
): Promise<string> {
  const frame = frameOf(width, TOP);
  const names = panels[0]?.series.map(({ name }) => name) ?? [];
  return await drawSvg(name, frame.size(panels.length), {
    legend: {
      top: 4,
      left: frame.grid(0).left,
      itemGap: 16,
      textStyle: { color: INK, lineHeight: LINE },
      data: names,
    },
    title: panels.map(({ title }, index) => ({
      text: title,
      left: frame.grid(index).left,
      top: frame.grid(index).top! - 24,
      padding: 0,
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: panels.map((_, index) => frame.grid(index)),
    xAxis: panels.map(({ across, series }, index) => ({
      ...axisStyle(across),
      splitLine: { show: false },
      gridIndex: index,
      type: "category",
      data: series[0]?.points.map(([at]) => String(at)) ?? [],
    })),
    yAxis: panels.map(({ up, series }, index) => {
      const counts = series.flatMap(({ points }) => points.map(([, count]) => count));
      const option = {
        ...axisStyle(up),
        axisLabel: {
          color: INK,
          formatter: (value: number) => value < 1 ? "" : String(value),
        },
        type: "log",
        min: LEAST,
        max: 10 ** Math.max(1, Math.ceil(Math.log10(Math.max(1, ...counts)))),
        startValue: LEAST,
      };
      return upright({ option }, index);
    }),
    series: panels.flatMap(({ series }, index) =>
      series.map(({ name, points }, i) => ({
        type: "bar",
        name,
        xAxisIndex: index,
        yAxisIndex: index,
        barGap: "0%",
        barCategoryGap: "20%",
        itemStyle: { color: colorOf(i).color },
        data: points.map(([, count]) => count > 0 ? count : "-"),
      }))
    ),
  });
}
