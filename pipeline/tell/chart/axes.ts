import { shortNumber } from "../../words.ts";

/** Text and lines take the color of the page, or of the SVG's own style where it stands alone. */
export const INK = "currentColor";

/** An axis, and where between its ends a value lies, from 0 to 1. */
export interface Scale {
  readonly option: Readonly<Record<string, unknown>>;
  place(value: number): number;
  /** The value that the axis has for one: its lower end for what a logarithm has no place for. */
  shown(value: number): number;
}

/**
 * An axis over values: logarithmic where they span more than one power of `base`. What is 0 or below
 * stands at the lower end of such an axis, which says so, if it is smaller than that; values that are
 * more than a little below 0 take a linear one.
 */
export function axisScale(name: string, values: readonly number[], base: number): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const least = Math.min(...values.filter((value) => value > 0));
  const power = (value: number) => Math.log(value) / Math.log(base);
  const [from, to] = [Math.floor(power(least)), Math.ceil(power(high))];
  const [min, max] = [base ** from, base ** to];
  if (high > base * least && -low <= min) {
    const end = (value: number | string) => value === min ? `≤ ${tick(value)}` : tick(value);
    const style = axisStyle(name);
    const axisLabel = { ...style.axisLabel, ...low <= 0 && { formatter: end } };
    const shown = (value: number) => Math.max(min, value);
    return {
      option: { ...style, axisLabel, type: "log", logBase: base, min, max },
      place: (value) => (power(shown(value)) - from) / (to - from),
      shown,
    };
  }
  const span = high - low || Math.abs(high) || 1;
  const interval = roundStep(span / 5);
  const start = Math.floor((low - 0.1 * span) / interval) * interval;
  const end = Math.ceil((high + 0.1 * span) / interval) * interval;
  return {
    option: { ...axisStyle(name), type: "value", min: start, max: end, interval },
    place: (value) => (value - start) / (end - start),
    shown: (value) => value,
  };
}

/** The smallest of 1, 2 and 5 times a power of ten that is not below `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5].find((times) => times * power >= step) ?? 10);
}

/** How every axis looks. */
export function axisStyle(name: string) {
  return {
    name,
    nameLocation: "middle",
    nameGap: 32,
    nameTextStyle: { color: INK },
    axisLine: { show: true, onZero: false, lineStyle: { color: INK } },
    axisTick: { lineStyle: { color: INK } },
    axisLabel: { color: INK, hideOverlap: true, formatter: tick },
    splitLine: { lineStyle: { color: INK, opacity: 0.15 } },
  };
}

/** A number without the noise of binary fractions. */
function tick(value: number | string): string {
  return typeof value === "string" ? value : shortNumber(value, 6);
}
