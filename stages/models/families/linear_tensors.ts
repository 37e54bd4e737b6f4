import type { Feeder, LinearOutline } from "../site.ts";

/** The outputs of a linear as what feeds a site. */
export function outputs({ weight, bias, rows }: LinearOutline): Feeder {
  return { kind: "linear", weight, bias, channels: rows };
}

/** The tensors of a linear with their shapes. */
export function tensorsOf({ weight, bias, rows, columns }: LinearOutline): [string, number[]][] {
  return [
    [weight, [rows, columns]],
    ...bias === undefined ? [] : [[bias, [rows]] as [string, number[]]],
  ];
}
