import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import type { Device, HostTensor, Tensor } from "../../../kernels/device/device.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { glu } from "../../../kernels/mod.ts";
import type { Observe } from "../../../stages/models/layer.ts";
import { Model } from "../../../stages/models/model.ts";
import { openPlaces } from "../../../stages/models/places.ts";
import { inPieces, rowsWithin } from "../../../stages/models/row_pieces.ts";
import { valuesOnly } from "../../../stages/models/site_input.ts";
import { startStream } from "../../../stages/models/stream.ts";
import { ENGINES } from "../../support/devices.ts";
import { normals } from "../../support/random.ts";
import { StageChain } from "../../support/stage_chain.ts";

const TOKENS = 21;
/** Columns of gates and what they gate, of those of all chosen experts; of attention there are fewer. */
const FAMILIES = [
  { family: "llama_llama3_gqa_tied", gates: 2 * 72, watched: true },
  { family: "cohere_tied", gates: 2 * 72, watched: true },
  { family: "olmo2_untied", gates: 2 * 72, watched: true },
  { family: "mixtral_window", gates: 2 * 2 * 40, watched: false },
] as const;

/** A device whose tensors hold no more than some bytes. */
function within<D extends Device>(device: D, bindingBytes: number): D {
  return Object.assign(device, { limits: { ...device.limits, bindingBytes } });
}

/** What the layers of a model make of some rows, and all that who watches is told. */
async function made(
  device: Device,
  path: string,
  watched: boolean,
): Promise<{ readonly y: HostTensor["data"]; readonly told: HostTensor["data"][] }> {
  using stack = new DisposableStack();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const source = normals(path);
  const { hidden, layers } = model.config;
  const x = f32(
    [TOKENS, hidden],
    Array.from({ length: TOKENS * hidden }, () => source.next().value),
  );
  const places = stack.use(openPlaces(device, model.config, TOKENS));
  const reads: Promise<HostTensor>[] = [];
  const observe: Observe = (_, x) => void reads.push(device.read(x));
  let stream = startStream(device.upload(x));
  for (let layer = 0; layer < layers; layer++) {
    const weights = await model.layer(layer);
    stream = weights.run(device, { stream, places, ...watched && { observe } });
    await Promise.all(reads);
  }
  stack.use(stream);
  const sum = f32([TOKENS, hidden]);
  const read = async (tensor: Tensor | undefined) =>
    tensor ? (await device.read(tensor)).data : sum.data;
  const [residual, delta] = [await read(stream.residual), await read(stream.delta)];
  const told = (await Promise.all(reads)).map(({ data }) => data);
  return { y: residual.map((value, i) => value + delta[i]!), told };
}

for (const [name, open] of Object.entries(ENGINES)) {
  for (const { family, gates, watched } of FAMILIES) {
    Deno.test(`${family} makes the same bits by pieces on ${name}, where gates of all tokens fit no tensor`, async () => {
      await using chain = await StageChain.open();
      const { path } = chain.family(family);
      await using whole = await open();
      await using small = within(await open(), 4 * TOKENS * gates - 4);
      assert.ok(rowsWithin(small, gates) < TOKENS);
      // What is larger than that cannot be there at all.
      assert.throws(() => small.empty({ dtype: "f32", shape: [TOKENS, gates] }), /at most/);
      for (const seen of watched ? [false, true] : [false]) {
        assert.deepEqual(await made(small, path, seen), await made(whole, path, seen));
      }
    });
  }
}

Deno.test("pieces are gone where what is made of one fails, and so is the input", async () => {
  await using device = await Cpu.open();
  const x = device.upload(f32([5, 8], Array.from({ length: 40 }, (_, i) => i)));
  const rows: number[] = [];
  assert.throws(() =>
    inPieces(device, valuesOnly(x), 2, (piece) => {
      using input = piece;
      if (rows.push(input.tokens) === 3) throw new RangeError("full");
      return device.run(glu, { gate: input.x! }, { activation: "silu" }).y;
    }), /full/);
  assert.deepEqual(rows, [2, 2, 1]);
});
