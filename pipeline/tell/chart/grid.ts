import type { Panel } from "../../description.ts";
import { shortNumber } from "../../words.ts";
import { axisStyle, INK } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { LETTER, LINE, WIDTH } from "./frame.ts";

/** Dark to light: viridis, whose steps are even to the eye and to the color-blind. */
const COLORS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];

const ROW = 20;
const RIGHT = 24;
const BELOW = 64;
/** Height of the legend above all panels, and of the title above each. */
const LEGEND = 44;
const TITLE = 24;

/** A panel of fields under a title. */
export interface GridPanel extends Pick<Panel, "across" | "series"> {
  readonly title: string;
}

/**
 * A heat map for each panel, one below the other, as SVG: a row for each series, a column for each
 * place. All share one scale of colors, logarithmic where values span more than a power of ten.
 */
export async function gridPlot(
  name: string,
  { panels, width = WIDTH }: { readonly panels: readonly GridPanel[]; readonly width?: number },
): Promise<string> {
  const values = panels.flatMap(({ series }) =>
    series.flatMap(({ points }) => points.map(([, value]) => value))
  );
  const positive = values.filter((value) => value > 0);
  const [least, most] = [Math.min(...positive), Math.max(...values)];
  const isLog = Math.min(...values) >= 0 && most > 10 * least;
  const [low, high] = [isLog ? least : Math.min(...values), most];
  const place = (value: number) => isLog ? Math.log10(Math.max(least, value)) : value;
  const longest = Math.max(
    ...panels.flatMap(({ series }) => series.map(({ name }) => name.length)),
  );
  const left = Math.min(LETTER * longest + 20, Math.floor(0.4 * width));
  // Those of titles are bold.
  const letters = Math.floor((width - left) / (LETTER + 1.5));
  const tops: number[] = [];
  let below = LEGEND;
  for (const { series } of panels) {
    tops.push(below + TITLE);
    below += TITLE + ROW * series.length + BELOW;
  }
  return await drawSvg(name, { width, height: below }, {
    title: panels.map(({ title }, index) => ({
      text: title.length > letters ? `${title.slice(0, letters - 1)}…` : title,
      left,
      top: tops[index]! - TITLE,
      padding: 0,
      textStyle: { color: INK, fontSize: 13 },
    })),
    visualMap: {
      type: "continuous",
      dimension: 2,
      min: place(low),
      max: high > low ? place(high) : place(low) + 1,
      inRange: { color: COLORS },
      orient: "horizontal",
      left,
      top: 4,
      itemWidth: LINE,
      itemHeight: 140,
      text: [high, low].map((value) => shortNumber(value, 2)),
      textStyle: { color: INK },
    },
    grid: panels.map(({ series }, index) => ({
      left,
      top: tops[index]!,
      width: width - left - RIGHT,
      height: ROW * series.length,
    })),
    xAxis: panels.map(({ across, series }, index) => {
      const places = series.flatMap(({ points }) => points.map(([at]) => at));
      return {
        ...axisStyle(across),
        nameGap: 28,
        splitLine: { show: false },
        axisTick: { show: false },
        gridIndex: index,
        type: "category",
        data: Array.from({ length: 1 + Math.max(...places) }, (_, at) => String(at)),
      };
    }),
    yAxis: panels.map(({ series }, index) => ({
      ...axisStyle(""),
      axisTick: { show: false },
      gridIndex: index,
      type: "category",
      inverse: true,
      data: series.map(({ name }) => name),
      axisLabel: { color: INK, width: left - 12, overflow: "truncate", interval: 0 },
    })),
    series: panels.map(({ series }, index) => ({
      type: "heatmap",
      xAxisIndex: index,
      yAxisIndex: index,
      data: series.flatMap(({ points }, row) =>
        points.map(([at, value]) => [at, row, place(value)])
      ),
    })),
  });
}
