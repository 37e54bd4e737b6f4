import { strict as assert } from "node:assert";
import { channelSpread, SPREAD_BYTES } from "../../../stages/channels/channel_spread.ts";
import { spreadSections } from "../../../stages/describe/spreads.ts";
import { withDirectory } from "../../support/directory.ts";

Deno.test("a spread counts channels by half powers of two of the median one", () => {
  // The median of 1, 2, 4, 8 and 64 is 4; one channel was never seen.
  const magnitudes = Float32Array.of(64, 1, 0, 4, 2, 8);
  // After the scale they are 4, 1, 0, 4, 2 and 8: a median of 4 again.
  const { before, after, worst } = channelSpread(magnitudes, Float32Array.of(16, 1, 1, 1, 1, 1));
  assert.deepEqual(before, [[-2, 1], [-1, 1], [0, 1], [1, 1], [4, 1]]);
  assert.deepEqual(after, [[-2, 1], [-1, 1], [0, 2], [1, 1]]);
  assert.deepEqual(worst, [
    { channel: 0, before: 16, after: 1 },
    { channel: 5, before: 2, after: 2 },
    { channel: 3, before: 1, after: 1 },
  ]);
  // 3 of 2 is 1.5, which lies between the root of 2 and 2; of 2 and 3 the median is 2.5.
  assert.deepEqual(
    channelSpread(Float32Array.of(2, 2, 3), new Float32Array(3).fill(1)).before,
    [[0, 2], [0.5, 1]],
  );
  const even = channelSpread(Float32Array.of(2, 3), Float32Array.of(1, 1));
  assert.deepEqual(even.worst.map(({ before }) => before), [1.2, 0.8]);
});

Deno.test("channels that are all 0 have no spread", () => {
  const none = channelSpread(new Float32Array(4), new Float32Array(4).fill(1));
  assert.deepEqual(none, { before: [], after: [], worst: [] });
});

Deno.test("a spread of wild channels stays within the bytes that are forecast", () => {
  const wild = Float32Array.from({ length: 8192 }, (_, i) => 2 ** (i % 60 / 4 - 5));
  const spread = channelSpread(wild, wild.map((x) => x ** 0.3));
  const text = JSON.stringify({ layer: 100, place: "qkv_proj", ...spread });
  assert.ok(text.length <= SPREAD_BYTES, `${text.length}`);
});

Deno.test("of each place the layer is told whose worst channel stands out most", () =>
  withDirectory(async (directory) => {
    assert.deepEqual(await spreadSections(directory), []);
    const spread = (layer: number, place: string, most: number) => ({
      layer,
      place,
      ...channelSpread(Float32Array.of(1, 1, 1, most), Float32Array.of(1, 1, 1, most / 2)),
    });
    const spreads = [
      spread(0, "keys", 4),
      spread(0, "down_proj", 16),
      spread(1, "keys", 8),
      spread(1, "down_proj", 2),
    ];
    await Deno.writeTextFile(`${directory}/spreads.json`, JSON.stringify(spreads));
    const [{ table, charts = [] } = { table: undefined }] = await spreadSections(directory);
    const firsts = table!.rows.filter((_, at) => at % 3 === 0);
    assert.deepEqual(firsts, [["keys", "1", "3", "8.00 ×", "2.00 ×"], [
      "down_proj",
      "0",
      "3",
      "16.0 ×",
      "2.00 ×",
    ]]);
    assert.deepEqual(charts.map(({ title, form }) => [title, form]), [
      ["Channels of keys, layer 1", "bars"],
      ["Channels of down_proj, layer 0", "bars"],
    ]);
    // Steps from 1 to 8 times the median, those without a channel too.
    assert.deepEqual(charts[0]!.series, [
      { name: "before", points: [[0, 3], [0.5, 0], [1, 0], [1.5, 0], [2, 0], [2.5, 0], [3, 1]] },
      { name: "after", points: [[0, 3], [0.5, 0], [1, 1], [1.5, 0], [2, 0], [2.5, 0], [3, 0]] },
    ]);
  }));
