import { setTimeout as sleep } from "node:timers/promises";
import type { Artifact } from "../../artifact.ts";
import { DigestMemo } from "../../store/digests.ts";
import type { Emit } from "../../event.ts";
import { makeOrder } from "../executor.ts";
import { StageError } from "../../errors.ts";
import type { Registry } from "../../stage.ts";
import type { Store } from "../../store/store.ts";
import { acceptOrder } from "./incoming_order.ts";
import { byWhom, eventsPath, OrderEventWriter, wasBegun } from "./order_events.ts";
import type { Answer, WireOrder } from "./wire.ts";

/** Where an order is carried out. */
export interface WorkPlace {
  /** Of the worker. */
  readonly name: string;
  readonly store: Store;
  readonly stages: Registry;
  tools(): Promise<unknown>;
  /** Hears of it here; whoever ordered reads the store. */
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** How long a worker looks for the file of an order: a network file system may show it late. */
const FILE_MS = 5000;

/** Makes the artifact of an order unless it is there, and tells of it. */
export async function carryOut(wire: WireOrder, place: WorkPlace): Promise<Answer> {
  const { name, store, emit, signal } = place;
  const { step, stage, key } = wire;
  const files = new DigestMemo(store.path, { signal });
  try {
    const path = await eventsOf(wire, place);
    await using told = new OrderEventWriter(path);
    emit({ type: "start", step, stage, key, reason: `order ${wire.id}` });
    const order = await acceptOrder(wire, { ...place, files });
    const { artifact, record, made } = await makeOrder(order, {
      ...place,
      files,
      // What a worker that died had kept is of this order: it had let go of all that was older.
      resume: await wasBegun(path),
      tools: () => {
        // Asked for when the stage begins: the artifact is not there, and its lock is held.
        told.tell({ type: "note", step, ...byWhom(name), replayed: false });
        return place.tools();
      },
      emit: (event) => {
        emit(event);
        if (event.type === "note" || event.type === "progress" || event.type === "quarantined") {
          told.tell(event);
        }
      },
    });
    const result = resultOf(artifact, { step, seconds: record.seconds });
    if (made) emit({ type: "done", ...result });
    else emit({ type: "reuse", ...result, reason: "made by another process" });
    return { digest: artifact.digest, made, worker: name };
  } catch (cause) {
    if (signal.aborted) emit({ type: "stopped", step });
    else {
      const error = new StageError(step, { key, cause });
      emit({ type: "failed", step, message: error.message, error });
    }
    throw cause;
  } finally {
    await files.save();
  }
}

function resultOf(
  { key, digest, path, scores }: Artifact,
  facts: { readonly step: string; readonly seconds: number },
) {
  return { ...facts, key, digest, path, scores };
}

/** Where to tell of an order; throws where whoever ordered uses another store. */
async function eventsOf({ id, step }: WireOrder, { store, signal }: WorkPlace): Promise<string> {
  const path = eventsPath(store.path, id);
  for (let waited = 0; waited <= FILE_MS; waited += 500) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
    await sleep(500, undefined, { signal });
  }
  throw new Error(
    `Cannot take step "${step}" to a worker: ${path} is not there, expected the store of whoever ` +
      "ordered; start the worker with --store on the same directory",
  );
}
