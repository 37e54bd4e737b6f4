import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { type Evaluation, writeEvaluation } from "../../../stages/report/evaluation.ts";
import { readModelCard } from "../../../stages/serve/model_card.ts";

const DIGEST = "a".repeat(64);
const protocol = { id: "windows", context: 512, windows: 4, tokens: "0".repeat(64) };

Deno.test("a card tells the quality of these weights, by the first evaluation of them", async () => {
  const place = await Deno.makeTempDir();
  const report = async (name: string, digest: string, perplexity: number) => {
    await Deno.mkdir(`${place}/${name}`);
    const scores = { perplexity, perplexity_ratio: 1.25, kl: 0.1, top1: 0.8 };
    await writeEvaluation(`${place}/${name}`, {
      scores,
      protocol,
      model: { digest },
    } as unknown as Evaluation);
    return `${place}/${name}`;
  };
  try {
    const evaluations = [
      `${place}/nothing`,
      await report("others", "b".repeat(64), 7),
      await report("first", DIGEST, 10),
      await report("second", DIGEST, 11),
    ];
    const call = { path: EMBEDDED, digest: DIGEST, name: "a model" };
    const card = await readModelCard({ ...call, evaluations });
    deepStrictEqual(card.quality, {
      perplexity: 10,
      baseline: 8,
      kl: 0.1,
      top1: 0.8,
      protocol: "4 windows of 512 tokens",
    });
    strictEqual(card.scheme, "W16 A16 KV16");
    const none = await readModelCard({ ...call, evaluations: evaluations.slice(0, 2) });
    strictEqual(none.quality, undefined);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
