import type { Panel } from "../../description.ts";
import { axisScale, INK } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import { colorOf, frameOf, LETTER, LINE, upright, WIDTH } from "./frame.ts";

/**
 * Points with the names of their series, one panel below the other, as SVG.
 *
 * Axes are logarithmic where values span a power of ten upright, or of two across.
 */
export async function scatterPlot(
  name: string,
  { panels, colors = [], width = WIDTH }: {
    readonly panels: readonly Panel[];
    /** Numbers of the series' colors, where plots of some things share them; in order unless said. */
    readonly colors?: readonly number[];
    readonly width?: number;
  },
): Promise<string> {
  const frame = frameOf(width, 24);
  const { panel } = frame;
  // In a narrow plot a label has half of the panel, on the side where its point is not.
  const most = width < WIDTH / 2 ? Math.floor((panel.width / 2 - GAPS) / LETTER) : Infinity;
  const laid = panels.map(({ across, up, series }) => {
    const points = series.flatMap(({ name, points }, i) =>
      points.map(([x, y]) => ({ x, y, text: shorten(name, most), color: colors[i] ?? i }))
    );
    return {
      x: axisScale(across, points.map(({ x }) => x), 2),
      y: axisScale(up, points.map(({ y }) => y), 10),
      points,
    };
  });
  return await drawSvg(name, frame.size(panels.length), {
    grid: panels.map((_, index) => frame.grid(index)),
    xAxis: laid.map(({ x }, index) => ({ ...x.option, gridIndex: index })),
    yAxis: laid.map(({ y }, index) => upright(y, index)),
    series: laid.flatMap(({ x, y, points }, index) => {
      const places = points.map((point) => ({
        x: x.place(point.x) * panel.width,
        y: (1 - y.place(point.y)) * panel.height,
        text: point.text,
      }));
      const shifts = labelShifts(places, panel);
      return points.map((point, i) => {
        const { color } = colorOf(point.color);
        const left = isLeft(places[i]!, panel.width);
        // A label that had to leave its point, or whose point others cover, has its color beside it.
        const away = shifts[i] !== 0 ||
          places.some((other, at) => at !== i && isOn(other, places[i]!));
        const sign = { width: SIGN, height: SIGN, backgroundColor: color };
        return {
          type: "scatter",
          xAxisIndex: index,
          yAxisIndex: index,
          symbolSize: 11,
          itemStyle: { color, opacity: 1 },
          data: [[x.shown(point.x), y.shown(point.y)]],
          label: {
            show: true,
            formatter: () =>
              !away
                ? point.text
                : left
                ? `${point.text}{gap|}{sign|}`
                : `{sign|}{gap|}${point.text}`,
            rich: { sign, gap: { width: 4 } },
            position: left ? "left" : "right",
            distance: 7,
            offset: [0, shifts[i]],
            color: INK,
            fontSize: 12,
          },
        };
      });
    }),
  });
}

/** Pixels across the sign of a color beside a label. */
const SIGN = 8;
/** Pixels beside a label: to its point, and for a sign. */
const GAPS = SIGN + 12;

/** A text within some letters, none of which means anything to the library. */
function shorten(whole: string, most: number): string {
  const text = whole.replaceAll(/[{}]/g, (brace) => brace === "{" ? "(" : ")");
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A point's place in a panel, in pixels from its upper left corner, and its label. */
export interface LabelPlace {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** Pixels from the middle of a point within which no other point's label begins or ends. */
const DOT = 7;

/**
 * Pixels by which labels move up or down so that none lies on another, on another's point or beyond the
 * panel: each to the nearest place that is free.
 */
function labelShifts(
  places: readonly LabelPlace[],
  { width, height }: { readonly width: number; readonly height: number },
): number[] {
  const shifts = places.map(() => 0);
  const order = [...places.keys()].sort((a, b) => places[a]!.y - places[b]!.y);
  const taken: { readonly from: number; readonly to: number; readonly y: number }[] = [];
  for (const index of order) {
    const place = places[index]!;
    const length = LETTER * place.text.length + GAPS;
    const left = isLeft(place, width);
    const [from, to] = left ? [place.x - length, place.x] : [place.x, place.x + length];
    const isFree = (clear: number) => (y: number) =>
      y >= LINE / 2 && y <= height - LINE / 2 &&
      taken.every((other) =>
        from >= other.to || other.from >= to || Math.abs(y - other.y) >= LINE
      ) &&
      places.every((other, i) =>
        i === index || other.x + DOT <= from || other.x - DOT >= to ||
        Math.abs(other.y - y) >= clear ||
        // Points that lie on each other cannot be kept clear of.
        isOn(other, place)
      );
    // Best so far from others' points that nobody takes it for theirs.
    const y = nearestFree(place.y, height, isFree(LINE + DOT)) ??
      nearestFree(place.y, height, isFree(LINE / 2 + DOT)) ?? place.y;
    taken.push({ from, to, y });
    shifts[index] = y - place.y;
  }
  return shifts;
}

/** Whether two points lie on each other. */
function isOn(one: LabelPlace, other: LabelPlace): boolean {
  return Math.hypot(one.x - other.x, one.y - other.y) < DOT;
}

/** The free height that is nearest to one, in a panel of so many pixels. */
function nearestFree(
  y: number,
  height: number,
  isFree: (y: number) => boolean,
): number | undefined {
  for (let away = 0; away < height; away++) {
    const found = [y + away, y - away].find(isFree);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether a point's label stands to its left, where there is more room. */
function isLeft({ x }: Pick<LabelPlace, "x">, panelWidth: number): boolean {
  return x > panelWidth / 2;
}
