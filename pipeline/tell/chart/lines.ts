import type { Panel } from "../../description.ts";
import { axisScale, axisStyle } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, frameOf, legendOf, upright, WIDTH } from "./frame.ts";

/**
 * Lines over whole numbers such as layers, one panel below the other, as SVG with a legend.
 *
 * All panels have the same series in the same order; a series without points has no line there.
 */
export async function linesPlot(
  name: string,
  { panels, width = WIDTH }: { readonly panels: readonly Panel[]; readonly width?: number },
): Promise<string> {
  const names = panels[0]?.series.map(({ name }) => name) ?? [];
  const shown = names.filter((_, i) => panels.some(({ series }) => series[i]?.points.length));
  const points = panels.map(({ series }) => series.flatMap(({ points }) => points));
  const scales = panels.map(({ up }, index) => axisScale(up, points[index]!.map(([, y]) => y), 10));
  const count = 1 + Math.max(...points.flat().map(([x]) => x));
  const legend = legendOf(shown, width);
  const frame = frameOf(width, legend.height);
  return await drawSvg(name, frame.size(panels.length), {
    legend: legend.option,
    grid: panels.map((_, index) => frame.grid(index)),
    xAxis: panels.map(({ across }, index) => ({
      ...axisStyle(across),
      splitLine: { show: false },
      gridIndex: index,
      type: "category",
      data: Array.from({ length: count }, (_, x) => String(x)),
    })),
    yAxis: scales.map(upright),
    series: panels.flatMap(({ series }, index) =>
      series.flatMap(({ name, points }, i) => {
        const { color, again } = colorOf(i);
        return points.length === 0 ? [] : [{
          type: "line",
          name,
          xAxisIndex: index,
          yAxisIndex: index,
          data: points.map(([x, y]) => [x, scales[index]!.shown(y)]),
          symbol: "circle",
          symbolSize: 6,
          lineStyle: { color, width: 2, type: again ? "dashed" : "solid" },
          itemStyle: { color },
        }];
      })
    ),
  });
}
