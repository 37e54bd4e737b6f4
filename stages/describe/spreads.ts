import type { Chart, Section } from "../../pipeline/description.ts";
import { type Histogram, type PlacedSpread, SPREADS } from "../channels/channel_spread.ts";
import { readOptionalJson } from "../formats/foreign_json.ts";

/** What smoothing did to channels, where a model has just been smoothed: of each place its worst layer. */
export async function spreadSections(directory: string): Promise<readonly Section[]> {
  const spreads = await readOptionalJson(`${directory}/${SPREADS}`) as
    | readonly PlacedSpread[]
    | undefined;
  if (!Array.isArray(spreads) || spreads.length === 0) return [];
  const worst = [...Map.groupBy(spreads as readonly PlacedSpread[], ({ place }) => place).values()]
    .map((some) => some.reduce((most, one) => outlier(one) > outlier(most) ? one : most));
  return [{
    title: "Channels before and after smoothing",
    lines: [
      "Each channel's largest magnitude over the calibration tokens, by that of the median channel; of each place the layer whose worst channel stands out most.",
    ],
    table: {
      columns: [
        { heading: "place" },
        { heading: "layer", number: true },
        { heading: "worst channel", number: true },
        { heading: "before", number: true },
        { heading: "after", number: true },
      ],
      rows: worst.flatMap(({ place, layer, worst }) =>
        worst.map(({ channel, before, after }) => [
          place,
          String(layer),
          String(channel),
          `${before.toPrecision(3)} ×`,
          `${after.toPrecision(3)} ×`,
        ])
      ),
    },
    charts: worst.map(spreadChart),
  }];
}

/** How many times the median channel's the magnitude of the worst one was. */
function outlier({ worst: [first] }: PlacedSpread): number {
  return first?.before ?? 0;
}

function spreadChart({ place, layer, before, after }: PlacedSpread): Chart {
  const steps = [...before, ...after].map(([step]) => step);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const filled = (histogram: Histogram) => {
    const counts = new Map(histogram);
    return Array.from({ length: steps.length > 0 ? 2 * (last - first) + 1 : 0 }, (_, at) => {
      const step = first + at / 2;
      return [step, counts.get(step) ?? 0] as const;
    });
  };
  return {
    title: `Channels of ${place}, layer ${layer}`,
    across: "log2 (magnitude / median)",
    up: "Channels",
    series: [
      { name: "before", points: filled(before) },
      { name: "after", points: filled(after) },
    ],
    form: "bars",
  };
}
