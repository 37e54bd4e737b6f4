import type { Limits } from "./limits.ts";
import { type Destroyable, Pool } from "./memory.ts";
import { PooledDevice, type Queue } from "./pooled_device.ts";

/** A buffer that is only counted. */
const BUFFER: Destroyable = { destroy() {} };

/** Launches nothing; what is read has no values. */
const NOWHERE: Queue<Destroyable> = {
  check() {},
  write() {},
  launch() {},
  prepare: () => ({ launch() {}, [Symbol.dispose]() {} }),
  submit() {},
  read(_block, _bytes, submit) {
    submit();
    return Promise.resolve(undefined);
  },
  close: () => Promise.resolve(),
};

/**
 * Plans what a device of these limits would launch, and counts the memory that it would hold, in the
 * same pool and by the same rules; nothing is computed.
 *
 * Tensors may be uploaded without values, and what is read has none: arrays of no elements.
 */
export class CountingDevice extends PooledDevice<Destroyable> {
  constructor(limits: Limits) {
    const pool = new Pool({ largest: Infinity, create: () => BUFFER });
    super({ limits, name: "counted" }, { queue: NOWHERE, pool });
  }
}
