import { INK, type Scale } from "./axes.ts";

/** Width of a plot unless said, in pixels. */
export const WIDTH = 1040;
/** Height of a line of text. */
export const LINE = 16;
/** Width of a letter in it. */
export const LETTER = 7;

/** What lies around a panel: left, right, and below it with the names of its axis. */
const LEFT = 84;
const RIGHT = 36;
const BELOW = 76;
const HEIGHT = 280;

/**
 * Colors of Okabe and Ito, told apart by the color-blind and on light and dark grounds, and behind them
 * five of Tol's muted ones.
 */
const COLORS = [
  ...["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c"],
  ...["#aa4466", "#999933", "#7a5fc0", "#44aa99", "#a0693f"],
];

/** The color of the i-th thing, and whether an earlier one has the same. */
export function colorOf(index: number): { readonly color: string; readonly again: boolean } {
  return { color: COLORS[index % COLORS.length]!, again: index >= COLORS.length };
}

/** Panels one below the other in a plot of some width, the first one `top` pixels down. */
export interface Frame {
  /** Size of a panel. */
  readonly panel: { readonly width: number; readonly height: number };
  /** Size of a plot of so many panels. */
  size(panels: number): { readonly width: number; readonly height: number };
  /** Where a panel stands, as echarts takes it. */
  grid(index: number): Readonly<Record<string, number>>;
}

/** Lays out the panels of a plot. */
export function frameOf(width: number, top: number): Frame {
  const panel = { width: width - LEFT - RIGHT, height: HEIGHT };
  return {
    panel,
    size: (panels) => ({ width, height: top + panels * (HEIGHT + BELOW) }),
    grid: (index) => ({ left: LEFT, top: top + index * (HEIGHT + BELOW), ...panel }),
  };
}

/** The upright axis of a panel. */
export function upright({ option }: Pick<Scale, "option">, panel: number) {
  return { ...option, gridIndex: panel, nameRotate: 90, nameGap: 58 };
}

/** A legend with a line for each name, above the panels, and the height it takes. */
export function legendOf(names: readonly string[], width: number) {
  // Beside the sign there is room for so much of a name.
  const cut = width < WIDTH / 2 ? { width: width - LEFT - 44, overflow: "truncate" } : {};
  const option = {
    orient: "vertical",
    left: LEFT,
    top: 4,
    itemGap: 4,
    textStyle: { color: INK, lineHeight: LINE, ...cut },
    itemHeight: LINE,
    data: names,
  };
  return { option, height: 24 + (LINE + 4) * names.length };
}
