import type { Artifact } from "../../artifact.ts";
import type { Order, Workshop } from "../executor.ts";
import { canonicalJson, keyOf } from "../../store/key.ts";
import { mapInputs } from "../../manifest/needs.ts";
import { parseInput } from "../../manifest/wiring.ts";
import { withoutPlaces } from "../../plan/planner.ts";
import type { AnyStage } from "../../stage.ts";
import { type WireOrder, wireOrder } from "./wire.ts";

/** What an order is checked against. */
type Here = Pick<Workshop, "store" | "stages" | "files">;

/** How the same thing may differ between the machines. */
const WAY_OUT = "start the same program on the same store everywhere";

/** The shape of an order that came over the wire; throws a TypeError for anything else. */
export function parseOrder(said: unknown): WireOrder {
  const { success, data, error } = wireOrder.safeParse(said);
  if (success) return data as WireOrder;
  const [{ path, message } = { path: [], message: "it is nothing" }] = error.issues;
  throw new TypeError(
    `Cannot take an order: ${path.join(".")}: ${message}, expected a whole order`,
  );
}

/**
 * An order as this worker carries it out: inputs by its own paths, params by its own schema.
 *
 * Nothing is believed. The key document is built again from what is here: a registered stage of the same
 * version, validated params, digests of the inputs in this store, the fingerprint of outside data as
 * this machine sees it. Throws an Error that names the first thing that differs.
 */
export async function acceptOrder(wire: WireOrder, place: Here): Promise<Order> {
  const { step, recipe, again } = wire;
  const stage = place.stages[wire.stage];
  if (stage === undefined || !Object.hasOwn(place.stages, wire.stage)) {
    throw refusal(wire, { what: "stage", is: wire.stage, expected: "a stage of this worker" });
  }
  const params = validated(wire, stage);
  const inputs = await artifactsOf(wire, { ...place, stage });
  const facts = {
    stage: wire.stage,
    version: stage.version,
    params: withoutPlaces(params, stage),
    inputs: mapInputs(inputs, ({ digest }: Artifact) => digest),
    fingerprint: await stage.fingerprint?.(params, place.files),
  };
  for (const [what, expected] of Object.entries(facts)) {
    const is = textOf(recipe[what as keyof typeof facts]);
    if (is !== textOf(expected)) throw refusal(wire, { what, is, expected: textOf(expected) });
  }
  const key = keyOf(recipe);
  if (key !== wire.key) throw refusal(wire, { what: "key", is: wire.key, expected: key });
  return { step, stage: wire.stage, params, recipe, inputs, again };
}

function validated(wire: WireOrder, stage: AnyStage): unknown {
  const { success, data, error } = stage.params.safeParse(wire.params);
  if (success) return data;
  const [{ path, message } = { path: [], message: "" }] = error.issues;
  throw refusal(wire, {
    what: ["params", ...path].join("."),
    is: message,
    expected: "valid params",
  });
}

async function artifactsOf(
  wire: WireOrder,
  { store, stage }: Here & { readonly stage: AnyStage },
): Promise<Order["inputs"]> {
  const known = Object.entries(stage.inputs as Readonly<Record<string, string>>);
  const stranger = Object.keys(wire.inputs).find((name) => !known.some(([one]) => one === name));
  if (stranger) {
    throw refusal(wire, { what: "input", is: stranger, expected: "one of the stage's" });
  }
  const found = known.map(async ([input, text]) => {
    const { kind, list, optional } = parseInput(text);
    const keys = wire.inputs[input];
    if (keys === undefined && (list || optional)) return [];
    if (keys === undefined || Array.isArray(keys) !== list) {
      throw refusal(wire, { what: input, is: textOf(keys), expected: list ? "keys" : "a key" });
    }
    const one = async (key: string): Promise<Artifact> => {
      const lying = await store.inspect(key);
      if (lying.state !== "whole") {
        const is = `${key.slice(0, 12)} is ${lying.state} in ${store.path}`;
        throw refusal(wire, { what: input, is, expected: "the store of whoever ordered" });
      }
      const { artifact } = lying.stored;
      if (artifact.kind === kind) return artifact;
      throw refusal(wire, { what: input, is: artifact.kind, expected: kind });
    };
    return [[input, list ? await Promise.all([keys].flat().map(one)) : await one(`${keys}`)]];
  });
  return Object.fromEntries((await Promise.all(found)).flat());
}

function textOf(value: unknown): string {
  return value === undefined ? "nothing" : canonicalJson(value);
}

function refusal(
  { step }: WireOrder,
  { what, is, expected }: { readonly what: string; readonly is: string; readonly expected: string },
): Error {
  return new Error(
    `Cannot take step "${step}" to a worker: its ${what} is ${is}, expected ${expected}; ${WAY_OUT}`,
  );
}
