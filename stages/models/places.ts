import { setImmediate } from "node:timers/promises";
import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { ropeAngles } from "./rope.ts";
import type { Ropes } from "./rope_config.ts";

/** Where tokens stand: their positions u32 [tokens], and for each layer the angles of all positions. */
export interface Places {
  readonly positions: TensorRef;
  readonly angles: readonly TensorRef[];
}

/** The places of a sequence of its own from position 0, for as many tokens. */
export function openPlaces(
  device: Device,
  config: Ropes,
  tokens: number,
): Places & Disposable {
  using stack = new DisposableStack();
  const ids = Array.from({ length: tokens }, (_, i) => i);
  const positions = stack.use(device.upload(u32([tokens], ids)));
  const { angles } = stack.use(openAngles(device, config, tokens));
  const owned = stack.move();
  return { positions, angles, [Symbol.dispose]: () => owned.dispose() };
}

/** The angles of each layer for sequences of up to so many tokens; layers share tables. */
export function openAngles(
  device: Device,
  { ropes, ropeOf }: Ropes,
  tokens: number,
): Pick<Places, "angles"> & Disposable {
  using stack = new DisposableStack();
  const tables = ropes.map((rope) =>
    stack.use(device.upload(ropeAngles(rope, tokens), "rope angles"))
  );
  const owned = stack.move();
  return { angles: ropeOf.map((at) => tables[at]!), [Symbol.dispose]: () => owned.dispose() };
}

/** Waits for the device, then lets timers and signals of the program have their turn. */
export async function settle(device: Device, { positions }: Places): Promise<void> {
  const { data } = await device.read(positions);
  // A device that only counts is never waited for.
  if (data.length > 0) await setImmediate();
}
