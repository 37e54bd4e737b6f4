import type { Param } from "./kernel.ts";

/** Bytes of the params of a launch: what the offset of a uniform binding has to be a multiple of. */
export const SLOT = 256;

/** Writes the params of a launch as its shader reads them; throws where one is no 32-bit number. */
export function writeParams(view: DataView, offset: number, params: readonly Param[]): void {
  params.forEach((param, index) => {
    const at = offset + 4 * index;
    if ("f32" in param) return view.setFloat32(at, param.f32, true);
    if (!Number.isInteger(param.u32) || param.u32 < 0 || param.u32 > 0xffffffff) {
      throw new RangeError(
        `Cannot launch: param ${index} is ${param.u32}, expected a 32-bit count`,
      );
    }
    view.setUint32(at, param.u32, true);
  });
}
