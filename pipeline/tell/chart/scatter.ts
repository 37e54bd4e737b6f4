import { axisScale, INK } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, frameOf, LETTER, upright, WIDTH } from "./frame.ts";
import { isLeft, labelShifts } from "./labels.ts";

/** A quantity: its name and its value for each thing. */
export interface Quantity {
  readonly name: string;
  readonly values: readonly number[];
}

/**
 * One quantity against others, a panel each, as SVG: a labelled point for each thing.
 *
 * Axes are logarithmic where values span a power of ten upright, or of two across.
 */
export async function scatterPlot(
  name: string,
  { y: { name: upName, values: up }, x: across, labels, colors = [], width = WIDTH }: {
    readonly y: Quantity;
    readonly x: readonly Quantity[];
    readonly labels: readonly string[];
    /** Numbers of the things' colors, where plots of some things share them; in order unless said. */
    readonly colors?: readonly number[];
    readonly width?: number;
  },
): Promise<string> {
  const frame = frameOf(width, 24);
  const { panel } = frame;
  const y = axisScale(upName, up, 10);
  const panels = across.map(({ name, values }) => ({ x: axisScale(name, values, 2), values }));
  // In a narrow plot a label has half of the panel, on the side where its point is not.
  const most = width < WIDTH / 2 ? Math.floor(panel.width / 2 / LETTER) + 1 : Infinity;
  const shown = labels.map((label) => shorten(label, most));
  return await drawSvg(name, frame.size(panels.length), {
    grid: panels.map((_, index) => frame.grid(index)),
    xAxis: panels.map(({ x }, index) => ({ ...x.option, gridIndex: index })),
    yAxis: panels.map((_, index) => upright(y, index)),
    series: panels.flatMap(({ x, values }, index) => {
      const places = values.map((value, i) => ({
        x: x.place(value) * panel.width,
        y: (1 - y.place(up[i]!)) * panel.height,
        text: shown[i]!,
      }));
      const shifts = labelShifts(places, panel.width);
      return values.map((value, i) => ({
        type: "scatter",
        xAxisIndex: index,
        yAxisIndex: index,
        symbolSize: 11,
        itemStyle: { color: colorOf(colors[i] ?? i).color, opacity: 1 },
        data: [[value, up[i]]],
        label: {
          show: true,
          formatter: () => shown[i]!,
          position: isLeft(places[i]!, panel.width) ? "left" : "right",
          distance: 7,
          offset: [0, shifts[i]],
          color: INK,
          fontSize: 12,
        },
      }));
    }),
  });
}

function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
