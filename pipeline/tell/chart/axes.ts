import { shortNumber } from "../../words.ts";

/** Text and lines take the color of the page, or of the SVG's own style where it stands alone. */
export const INK = "currentColor";

/** An axis, and where between its ends a value lies, from 0 to 1. */
export interface Scale {
  readonly option: Readonly<Record<string, unknown>>;
  place(value: number): number;
}

/** An axis over values: logarithmic where they are positive and span more than one power of `base`. */
export function axisScale(name: string, values: readonly number[], base: number): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (low > 0 && high > base * low) {
    const power = (value: number) => Math.log(value) / Math.log(base);
    const [from, to] = [Math.floor(power(low)), Math.ceil(power(high))];
    const ends = { min: base ** from, max: base ** to };
    return {
      option: { ...axisStyle(name), type: "log", logBase: base, ...ends },
      place: (value) => (power(value) - from) / (to - from),
    };
  }
  const span = high - low || Math.abs(high) || 1;
  const interval = roundStep(span / 5);
  const min = Math.floor((low - 0.1 * span) / interval) * interval;
  const max = Math.ceil((high + 0.1 * span) / interval) * interval;
  return {
    option: { ...axisStyle(name), type: "value", min, max, interval },
    place: (value) => (value - min) / (max - min),
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
