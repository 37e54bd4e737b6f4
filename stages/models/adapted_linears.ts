import type { Architecture } from "./family.ts";
import type { LayerLinear } from "./site.ts";

/** The linears that adapters may change: those of all layers, but for MLPs beside which a router stands. */
export function adaptedLinears({ layers }: Architecture): readonly LayerLinear[] {
  const routed = layers.some(({ sites }) =>
    sites.some(({ routers, expert }) => routers !== undefined || expert !== undefined)
  );
  return layers.flatMap(({ sites }) =>
    sites.filter(({ role }) => !routed || !role.startsWith("mlp")).flatMap(({ linears }) => linears)
  );
}
