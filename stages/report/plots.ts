import { axisStyle, INK, type Scale, scaleOf } from "./axes.ts";
import { drawSvg } from "./draw.ts";
import type { Row } from "./rows.ts";

/** Colors of Okabe and Ito, told apart by the color-blind and on light and dark grounds. */
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c"];

const WIDTH = 1040;
/** Where a panel stands in the picture, and what lies around it. */
const LEFT = 84;
const RIGHT = 36;
const PANEL = { width: WIDTH - LEFT - RIGHT, height: 280 };
const BELOW = 76;
/** Height of a line of text, and the width of a letter in it. */
const LINE = 16;
const LETTER = 7;

/** Perplexity against bits per weight and, below, against bytes of KV cache, as SVG. */
export async function perplexityPlot(rows: readonly Row[]): Promise<string> {
  const perplexities = rows.map(({ perplexity }) => perplexity);
  const y = scaleOf("Perplexity", perplexities, 10);
  const bits = rows.map(({ bitsPerWeight }) => bitsPerWeight);
  const cache = rows.map(({ kvBytesPerToken }) => kvBytesPerToken);
  const panels = [
    { x: scaleOf("Bits per weight", bits, 2), values: bits },
    { x: scaleOf("KV cache, bytes per token", cache, 2), values: cache },
  ];
  return await drawSvg("perplexity", { width: WIDTH, height: 24 + 2 * (PANEL.height + BELOW) }, {
    grid: panels.map((_, index) => panelAt(index, 24)),
    xAxis: panels.map(({ x }, index) => ({ ...x.option, gridIndex: index })),
    yAxis: panels.map((_, index) => upright(y, index)),
    series: panels.flatMap(({ x, values }, index) => {
      const places = values.map((value, i) => ({
        x: x.place(value) * PANEL.width,
        y: (1 - y.place(perplexities[i]!)) * PANEL.height,
        text: rows[i]!.label,
      }));
      const shifts = labelShifts(places);
      return rows.map(({ label, perplexity }, i) => ({
        type: "scatter",
        xAxisIndex: index,
        yAxisIndex: index,
        symbolSize: 11,
        itemStyle: { color: colorOf(i), opacity: 1 },
        data: [[values[i], perplexity]],
        label: {
          show: true,
          formatter: () => label,
          position: isLeft(places[i]!) ? "left" : "right",
          distance: 7,
          offset: [0, shifts[i]],
          color: INK,
          fontSize: 12,
        },
      }));
    }),
  });
}

/** What quantization cost in every layer by method, as SVG; undefined where no model records it. */
export async function layersPlot(rows: readonly Row[]): Promise<string | undefined> {
  const linears = rows.map(({ layers }) => layers);
  const caches = rows.map(({ kvErrors }) => kvErrors.map((error, layer) => ({ layer, error })));
  const panels = [
    { name: "Linears' relative squared error", lines: linears },
    { name: "KV cache's relative squared error", lines: caches },
  ].filter(({ lines }) => lines.some((line) => line.length > 0));
  if (panels.length === 0) return undefined;
  const shown = rows.filter((_, i) => panels.some(({ lines }) => lines[i]!.length > 0));
  const layers = 1 + Math.max(...panels.flatMap(({ lines }) => lines.flat()).map((x) => x.layer));
  const top = 24 + (LINE + 4) * shown.length;
  const height = top + panels.length * (PANEL.height + BELOW);
  return await drawSvg("layers", { width: WIDTH, height }, {
    legend: {
      orient: "vertical",
      left: LEFT,
      top: 4,
      itemGap: 4,
      textStyle: { color: INK, lineHeight: LINE },
      itemHeight: LINE,
      data: shown.map(({ label }) => label),
    },
    grid: panels.map((_, index) => panelAt(index, top)),
    xAxis: panels.map((_, index) => ({
      ...axisStyle("Layer"),
      splitLine: { show: false },
      gridIndex: index,
      type: "category",
      data: Array.from({ length: layers }, (_, layer) => String(layer)),
    })),
    yAxis: panels.map(({ name, lines }, index) => {
      const errors = lines.flat().map(({ error }) => error);
      return upright(scaleOf(name, errors, 10), index);
    }),
    series: panels.flatMap(({ lines }, index) =>
      lines.flatMap((line, i) =>
        line.length === 0 ? [] : [{
          type: "line",
          name: rows[i]!.label,
          xAxisIndex: index,
          yAxisIndex: index,
          data: line.map(({ layer, error }) => [layer, error]),
          symbol: "circle",
          symbolSize: 6,
          lineStyle: { color: colorOf(i), width: 2, type: i < COLORS.length ? "solid" : "dashed" },
          itemStyle: { color: colorOf(i) },
        }]
      )
    ),
  });
}

/** A point's place in a panel, in pixels from its upper left corner, and its label. */
interface Place {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** Pixels by which labels move down so that none lies on another. */
function labelShifts(places: readonly Place[]): number[] {
  const shifts = places.map(() => 0);
  const order = [...places.keys()].sort((a, b) => places[a]!.y - places[b]!.y);
  const taken: { from: number; to: number; y: number }[] = [];
  for (const index of order) {
    const place = places[index]!;
    const length = LETTER * place.text.length + 10;
    const from = isLeft(place) ? place.x - length : place.x;
    let y = place.y;
    const covers = (other: typeof taken[number]) =>
      from < other.to && other.from < from + length && Math.abs(y - other.y) < LINE - 0.5;
    for (let hit = taken.find(covers); hit; hit = taken.find(covers)) y = hit.y + LINE;
    taken.push({ from, to: from + length, y });
    shifts[index] = y - place.y;
  }
  return shifts;
}

function isLeft({ x }: Place): boolean {
  return x > PANEL.width / 2;
}

function colorOf(index: number): string {
  return COLORS[index % COLORS.length]!;
}

function panelAt(index: number, top: number) {
  return { left: LEFT, top: top + index * (PANEL.height + BELOW), ...PANEL };
}

function upright({ option }: Scale, panel: number) {
  return { ...option, gridIndex: panel, nameRotate: 90, nameGap: 58 };
}
