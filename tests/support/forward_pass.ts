import type { Device, Tensor } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { normalize, startStream } from "../../stages/models/stream.ts";
import type { Model } from "../../stages/models/model.ts";
import { openAngles } from "../../stages/models/places.ts";

/**
 * Logits of every position, f32 [tokens, vocabulary], by the layers of the product: what a stage that
 * must not change a model is judged by, with {@linkcode relativeError}. `context` is the length whose
 * rotary frequencies they take.
 */
export async function logitsOf(
  device: Device,
  model: Model,
  ids: readonly number[],
  context = ids.length,
): Promise<Float32Array> {
  using stack = new DisposableStack();
  const x = await headInput(device, model, { ids, context, stack });
  const head = await model.head();
  const logits = stack.use(head.apply(device, x));
  model.release(head);
  return (await device.read(logits)).data as Float32Array;
}

/** What the head reads at every position, f32 [tokens, hidden]. */
export async function hiddenOf(
  device: Device,
  model: Model,
  ids: readonly number[],
): Promise<Float32Array> {
  using stack = new DisposableStack();
  const x = await headInput(device, model, { ids, context: ids.length, stack });
  return (await device.read(x)).data as Float32Array;
}

async function headInput(
  device: Device,
  model: Model,
  { ids, context, stack }: {
    readonly ids: readonly number[];
    readonly context: number;
    readonly stack: DisposableStack;
  },
): Promise<Tensor> {
  const { config } = model;
  const tokens = stack.use(device.upload(u32([ids.length], ids)));
  const positions = stack.use(device.upload(u32([ids.length], ids.map((_, i) => i))));
  const { angles } = stack.use(openAngles(device, config, context));
  const embeddings = await model.embeddings();
  let stream = startStream(embeddings.embed(device, tokens));
  model.release(embeddings);
  for (let layer = 0; layer < config.layers; layer++) {
    const weights = await model.layer(layer);
    stream = weights.run(device, { stream, places: { positions, angles } });
    model.release(weights);
  }
  stack.use(stream);
  const norm = await model.finalNorm();
  const x = stack.use(normalize(device, stream, norm));
  model.release(norm);
  return x;
}

/** L2 norm of the difference, relative to the expected. */
export function relativeError(got: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0];
  expected.forEach((value, i) => {
    error += (got[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(error / size);
}
