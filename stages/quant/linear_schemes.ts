import { largestGroup } from "./weight_grid.ts";
import { schemeKind, type WeightScheme } from "./schemes.ts";

/** How the inputs of linears are quantized, as manifests say it. */
export type Activations = "none" | "dynamic" | "static";

/**
 * Throws unless there is a kernel that runs weights of this scheme on such inputs; says which
 * schemes there are.
 */
export function checkScheme(scheme: WeightScheme, activations: Activations): void {
  const { bits, zero, group, levels } = scheme;
  const why = problem(scheme, activations);
  if (!why) return;
  throw new TypeError(
    `Cannot run weights of ${bits} bits, zero ${zero}, group ${group}, levels ${levels} with activations ${activations}: ${why}`,
  );
}

function problem(scheme: WeightScheme, activations: Activations): string | undefined {
  const { bits, zero, group } = scheme;
  const kind = schemeKind(scheme);
  if (kind === "two_level") {
    if (bits === 8) {
      return "two levels are 8-bit integers made of smaller codes, expected 2 to 4 bits";
    }
    if (typeof group !== "number") return "two levels need groups, expected a number for group";
    return activations === "none"
      ? "two levels are for 8-bit activations, expected activations dynamic or static, or levels 1"
      : undefined;
  }
  if (activations === "none") return undefined;
  if (bits === 8 && zero !== "none") {
    return "unsigned bytes do not fit the integer product, expected zero none";
  }
  return kind === "grouped"
    ? "one integer sum over a row allows no scale a group, expected levels 2 or group row"
    : undefined;
}

/** The scheme of a weight with so many columns, whose group may have to be made smaller. */
export function schemeFor(
  scheme: WeightScheme,
  columns: number,
  uneven: "refuse" | "shrink",
): WeightScheme {
  const { group } = scheme;
  if (uneven === "refuse" || typeof group !== "number" || columns % group === 0) return scheme;
  return { ...scheme, group: largestGroup(columns, group) };
}
