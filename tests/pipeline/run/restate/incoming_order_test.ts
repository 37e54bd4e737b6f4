import { deepStrictEqual, match, rejects, throws } from "node:assert/strict";
import { DigestMemo } from "../../../../pipeline/store/digests.ts";
import { inProcess, type Order } from "../../../../pipeline/run/executor.ts";
import { keyOf } from "../../../../pipeline/store/key.ts";
import { acceptOrder, parseOrder } from "../../../../pipeline/run/restate/incoming_order.ts";
import type { WireOrder } from "../../../../pipeline/run/restate/wire.ts";
import { Store } from "../../../../pipeline/store/store.ts";
import * as stages from "../../../support/toy/stages.ts";
import { withDirectory } from "../../../support/directory.ts";

/** A store with the number 3 in it, and an order to add 4 to it. */
async function ordered(directory: string) {
  const store = new Store(directory);
  const files = new DigestMemo(directory);
  const workshop = { store, stages, files, tools: () => Promise.resolve({}) };
  const recipe = { stage: "constant", version: 1, params: { value: 3 }, inputs: {} };
  const first: Order = {
    step: "three",
    stage: "constant",
    params: { value: 3 },
    recipe,
    inputs: {},
    again: false,
  };
  const use = { emit: () => {}, signal: new AbortController().signal };
  const { artifact } = await inProcess(workshop).make(first, use);
  const params = { by: 4, parts: 1, pause: 0 };
  const adding = { stage: "add", version: 1, params, inputs: { a: artifact.digest } };
  const wire: WireOrder = {
    id: crypto.randomUUID(),
    key: keyOf(adding),
    step: "seven",
    stage: "add",
    params,
    recipe: adding,
    inputs: { a: artifact.key },
    again: false,
  };
  return { workshop, artifact, wire };
}

Deno.test("a worker takes an order as it stands, with its own path to the store", () =>
  withDirectory(async (directory) => {
    const { workshop, artifact, wire } = await ordered(directory);
    const said = JSON.parse(JSON.stringify({ ...wire, params: { ...wire.params as object } }));
    const { inputs, params, recipe } = await acceptOrder(parseOrder(said), workshop);
    deepStrictEqual(inputs, { a: artifact });
    deepStrictEqual([params, recipe], [wire.params, wire.recipe]);
    match(artifact.path, new RegExp(`^${directory}`));
  }));

Deno.test("a worker refuses an order that is not what its own program and store say", () =>
  withDirectory(async (directory) => {
    const { workshop, artifact, wire } = await ordered(directory);
    const { recipe } = wire;
    const wrong: [change: Partial<WireOrder>, why: RegExp][] = [
      [{ stage: "subtract" }, /its stage is subtract, expected a stage of this worker/],
      [{ stage: "toString" }, /its stage is toString, expected a stage of this worker/],
      [{ recipe: { ...recipe, version: 2 } }, /its version is 2, expected 1/],
      [{ params: { by: "4" } }, /its params\.by is .*, expected valid params/],
      [{ params: { by: 5 } }, /its params is .*"by":4.*, expected .*"by":5/],
      [{ key: "0".repeat(64) }, /its key is 0{64}, expected [0-9a-f]{64}/],
      [{ inputs: {} }, /its a is nothing, expected a key/],
      [{ inputs: { a: [artifact.key] } }, /its a is \["[0-9a-f]{64}"\], expected a key/],
      [{ inputs: { a: "f".repeat(64) } }, /its a is f{12} is absent in .*, expected the store of/],
      [{ inputs: { a: artifact.key, c: artifact.key } }, /its input is c, expected one of/],
      [{ inputs: { a: artifact.key, b: artifact.key } }, /its inputs is \{"a":"[0-9a-f]{64}"\}/],
      [{ recipe: { ...recipe, fingerprint: "x" } }, /its fingerprint is "x", expected nothing/],
    ];
    for (const [change, why] of wrong) {
      await rejects(acceptOrder(parseOrder({ ...wire, ...change }), workshop), ({ message }) => {
        match(message, why);
        match(
          message,
          /^Cannot take step "seven" to a worker: .*; start the same program on the same store everywhere$/,
        );
        return true;
      });
    }
    for (const id of ["../../etc/passwd", "", 7, undefined]) {
      throws(() => parseOrder({ ...wire, id }), /^TypeError: Cannot take an order: id: /);
    }
    throws(() => parseOrder({ ...wire, path: "/etc" }), /^TypeError: Cannot take an order: /);
  }));
