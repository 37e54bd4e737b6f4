import { axisScale, axisStyle } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, frameOf, legendOf, upright, WIDTH } from "./frame.ts";

/** Points from left to right. */
export type Points = readonly (readonly [x: number, y: number])[];

/** A panel with a line for each name; a name without points has none here. */
export interface LinesPanel {
  /** Name of the upright axis. */
  readonly name: string;
  readonly lines: readonly Points[];
}

/** Lines over whole numbers such as layers, one panel below the other, as SVG with a legend. */
export async function linesPlot(
  name: string,
  { panels, names, across, width = WIDTH }: {
    readonly panels: readonly LinesPanel[];
    /** Names of the lines, the same in every panel. */
    readonly names: readonly string[];
    /** Name of the level axis. */
    readonly across: string;
    readonly width?: number;
  },
): Promise<string> {
  const shown = names.filter((_, i) => panels.some(({ lines }) => lines[i]!.length > 0));
  const count = 1 + Math.max(...panels.flatMap(({ lines }) => lines.flat()).map(([x]) => x));
  const legend = legendOf(shown, width);
  const frame = frameOf(width, legend.height);
  return await drawSvg(name, frame.size(panels.length), {
    legend: legend.option,
    grid: panels.map((_, index) => frame.grid(index)),
    xAxis: panels.map((_, index) => ({
      ...axisStyle(across),
      splitLine: { show: false },
      gridIndex: index,
      type: "category",
      data: Array.from({ length: count }, (_, x) => String(x)),
    })),
    yAxis: panels.map(({ name, lines }, index) =>
      upright(axisScale(name, lines.flat().map(([, y]) => y), 10), index)
    ),
    series: panels.flatMap(({ lines }, index) =>
      lines.flatMap((line, i) => {
        const { color, again } = colorOf(i);
        return line.length === 0 ? [] : [{
          type: "line",
          name: names[i]!,
          xAxisIndex: index,
          yAxisIndex: index,
          data: line,
          symbol: "circle",
          symbolSize: 6,
          lineStyle: { color, width: 2, type: again ? "dashed" : "solid" },
          itemStyle: { color },
        }];
      })
    ),
  });
}
