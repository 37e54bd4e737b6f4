import { z } from "zod";
import type { Family } from "../family.ts";
import * as families from "./mod.ts";

const named = z.looseObject({ architectures: z.array(z.string()).min(1) });

/** The family that runs a `config.json`; throws and lists the known ones where none does. */
export function findFamily(json: unknown): Family {
  const known = Object.values<Family>(families).flatMap(({ architectures }) => architectures);
  const parsed = named.safeParse(json);
  const [name] = parsed.success ? parsed.data.architectures : [];
  const family = Object.values<Family>(families)
    .find(({ architectures }) => name !== undefined && architectures.includes(name));
  if (family) return family;
  throw new TypeError(
    `Cannot run architecture ${name ? `"${name}"` : "of config.json, which names none"}: expected ${
      known.join(", ")
    }`,
  );
}
