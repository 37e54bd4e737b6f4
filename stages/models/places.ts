import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import type { DecoderConfig } from "./config.ts";
import { ropeAngles } from "./rope_angles.ts";

/** Where tokens stand: their positions u32 [tokens] and the angles of all positions. */
export interface Places {
  readonly positions: TensorRef;
  readonly angles: TensorRef;
}

/** The places of a sequence of its own from position 0, for as many tokens. */
export function openPlaces(
  device: Device,
  config: DecoderConfig,
  tokens: number,
): Places & Disposable {
  const positions = device.upload(u32([tokens], Array.from({ length: tokens }, (_, i) => i)));
  const angles = device.upload(ropeAngles(config, tokens));
  return {
    positions,
    angles,
    [Symbol.dispose]() {
      positions[Symbol.dispose]();
      angles[Symbol.dispose]();
    },
  };
}

/** Waits for the device, then lets timers and signals of the program have their turn. */
export async function settle(device: Device, { positions }: Places): Promise<void> {
  const { data } = await device.read(positions);
  // A device that only counts is never waited for.
  if (data.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
}
