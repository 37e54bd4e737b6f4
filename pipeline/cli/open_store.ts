import { Store } from "../store.ts";
import type { Flags } from "./command_line.ts";
import { storeDirectory } from "./project.ts";

/** The store that the options, the environment or the place of a manifest name. */
export function openStore(manifest: string, { store: asked, verify }: Flags): Store {
  const environment = Deno.env.get("QUATTUOR_STORE");
  return new Store(storeDirectory(manifest, { asked, environment }), { verify });
}
