import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { randomRows } from "../../support/random.ts";
import { StageChain } from "../../support/stage_chain.ts";

for (const precision of [undefined, "w8a8", "w8a16"]) {
  Deno.test(`some logits of a model with a cap are those of all, whichever way they are asked for, with a head in ${precision ?? "floats"}`, async () => {
    await using chain = await StageChain.open();
    const plain = chain.family("gemma2_caps_window");
    const params = { method: "rtn", weights: { group: 8 }, head: precision };
    const { path } = precision ? await chain.run(quantize, { model: plain }, params) : plain;
    await agreesWithItself(path);
  });
}

async function agreesWithItself(path: string): Promise<void> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const { vocabulary, hidden, logitCap } = model.config;
  using x = device.upload(randomRows(3, hidden, "hidden"));
  const head = await model.head();
  using whole = head.apply(device, x);
  const { data: all } = await device.read(whole);
  assert.ok(all.every((logit) => Math.abs(logit) < logitCap!));
  // Rows of a normal table of deviation 0.2 make logits that a cap of 5 bends.
  assert.ok(all.some((logit) => Math.abs(logit) > 0.5 * logitCap!));
  const columns = (first: number, rows: number) =>
    [0, 1, 2].flatMap((token) => [
      ...all.subarray(token * vocabulary + first, token * vocabulary + first + rows),
    ]);
  using some = head.applyRows(device, x, { first: 30, rows: 20 });
  assert.deepEqual([...(await device.read(some)).data], columns(30, 20));
  const pieces: Promise<void>[] = [];
  head.applyInPieces(device, x, 40, (piece, first) => {
    const rows = piece.shape[1]!;
    pieces.push(
      device.read(piece).then(({ data }) => {
        assert.deepEqual([...data], columns(first, rows));
      }),
    );
  });
  await Promise.all(pieces);
  assert.equal(pieces.length, Math.ceil(vocabulary / 40));
}
