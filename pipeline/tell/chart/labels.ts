import { LETTER, LINE } from "./frame.ts";

/** A point's place in a panel, in pixels from its upper left corner, and its label. */
export interface LabelPlace {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** Pixels by which labels move down so that none lies on another. */
export function labelShifts(places: readonly LabelPlace[], panelWidth: number): number[] {
  const shifts = places.map(() => 0);
  const order = [...places.keys()].sort((a, b) => places[a]!.y - places[b]!.y);
  const taken: { from: number; to: number; y: number }[] = [];
  for (const index of order) {
    const place = places[index]!;
    const length = LETTER * place.text.length + 10;
    const from = isLeft(place, panelWidth) ? place.x - length : place.x;
    let y = place.y;
    const covers = (other: typeof taken[number]) =>
      from < other.to && other.from < from + length && Math.abs(y - other.y) < LINE - 0.5;
    for (let hit = taken.find(covers); hit; hit = taken.find(covers)) y = hit.y + LINE;
    taken.push({ from, to: from + length, y });
    shifts[index] = y - place.y;
  }
  return shifts;
}

/** Whether a point's label stands to its left, where there is more room. */
export function isLeft({ x }: Pick<LabelPlace, "x">, panelWidth: number): boolean {
  return x > panelWidth / 2;
}
