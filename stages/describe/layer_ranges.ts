/** Layers in words: `0-11`, `0, 2-5`. */
export function layerRanges(layers: readonly number[]): string {
  const ranges: [from: number, to: number][] = [];
  for (const layer of layers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && layer === last[1] + 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(", ");
}

/** Layers that have equal words, in the order in which the words first come. */
export function groupLayers(
  words: readonly string[],
): readonly { words: string; layers: string }[] {
  const groups = Map.groupBy(words.keys(), (layer) => words[layer]!);
  return [...groups].map(([words, layers]) => ({ words, layers: layerRanges(layers) }));
}
