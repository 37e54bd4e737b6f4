import type { DecoderConfig } from "../models/config.ts";
import { TensorTooLarge } from "../../kernels/device/tensor.ts";
import { longestSequence } from "../../kernels/attention_paged.ts";
import { leadOf, PAGE_TOKENS, pagesFor, tokensIn } from "../../kernels/codes/kv_page.ts";
import { millions } from "../../pipeline/words.ts";
import { EngineError } from "./engine.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { pagesOfLongest } from "./kv_batch.ts";
import { kvSchemes, pageBytes } from "./kv_pools.ts";
import type { StepWishes } from "./largest_steps.ts";
import { MOST_DRAFT } from "./recorded_steps.ts";
import type { StepLimits } from "./scheduler.ts";

/** What an engine may use, fixed when it starts. */
export interface EngineSizes {
  /** Pages of 64 tokens. */
  readonly pages: number;
  /** Longest prompt and answer together. */
  readonly context: number;
  readonly step: StepLimits;
  /** Requests that may wait while as many as a step takes run, and tokens of their prompts. */
  readonly queue: { readonly requests: number; readonly tokens: number };
}

/** What a user may say of an engine's sizes; the rest follows from model and memory. */
export interface SizeWishes {
  /** Longest prompt and answer together; what the model was made for unless said. */
  readonly context?: number | undefined;
  /** Sequences that run at once. */
  readonly sequences?: number | undefined;
  /** Tokens that a step takes on. */
  readonly stepTokens?: number | undefined;
  /** Pages of the KV cache; what memory leaves unless said. */
  readonly pages?: number | undefined;
  /** Steps that may run before their tokens are looked at. */
  readonly ahead?: number | undefined;
  /** How answers are guessed ahead; not at all unless said. */
  readonly speculate?: "ngram" | undefined;
  readonly queueRequests?: number | undefined;
  readonly queueTokens?: number | undefined;
}

/** What an engine takes of the device's memory. */
export interface MemoryPlan {
  readonly weightBytes: number;
  readonly workspaceBytes: number;
  /** What a page holds in all layers. */
  readonly pageBytes: number;
  /** What all pages take. */
  readonly kvBytes: number;
  /** First tokens of a sequence whose keys and values stay in half precision. */
  readonly sinks: number;
  readonly sizes: EngineSizes;
  /** What differs from what was asked, or from the model on its own; a sentence part each. */
  readonly notes: readonly string[];
}

/** Sequences and tokens a step where nothing is said. */
const SEQUENCES = { cpu: 16, gpu: 256 } as const;
const STEP_TOKENS = { cpu: 256, gpu: 2048 } as const;
/** Steps before their tokens are read; with each read a graphics processor runs dry. */
const AHEAD = { cpu: 1, gpu: 8 } as const;

/**
 * Tokens of a draft, and sequences that may have one: where more generate, a step has enough to do
 * without rows that may be in vain.
 */
const DRAFTS = {
  cpu: { tokens: MOST_DRAFT, sequences: 2 },
  gpu: { tokens: MOST_DRAFT, sequences: 8 },
} as const;

/**
 * Fixes what an engine takes: weights, what a step needs, and pages with the rest of `memoryBytes`, but
 * no more than all sequences can fill. Throws an `EngineError` with the numbers where one sequence of
 * the longest context does not fit.
 */
export async function planMemory(
  memory: EngineMemory,
  { memoryBytes, wishes }: { readonly memoryBytes: number; readonly wishes: SizeWishes },
): Promise<MemoryPlan> {
  const { limits, sinks, files: { record, architecture: { config } } } = memory;
  const attended = longestSequence(limits) - leadOf(sinks);
  const context = Math.min(wishes.context ?? config.positions, config.positions, attended);
  const sequences = wishes.sequences ?? SEQUENCES[limits.adapter];
  const asked = Math.max(wishes.stepTokens ?? STEP_TOKENS[limits.adapter], sequences);
  const step = {
    tokens: asked,
    sequences,
    ahead: wishes.ahead ?? AHEAD[limits.adapter],
    ...wishes.speculate && { drafts: DRAFTS[limits.adapter] },
  };
  const { tokens, weightBytes, workspaceBytes } = await countLargest(memory, {
    context,
    step,
    // What was asked for is refused with its reason.
    least: wishes.stepTokens === undefined ? sequences : asked,
  });
  const one = pagesOfLongest(context, sinks);
  const fitting = memory.pagesWithin(memoryBytes - weightBytes - workspaceBytes);
  const pages = wishes.pages ?? Math.min(fitting, one * sequences);
  const each = pageBytes(config, kvSchemes(config, record));
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  if (wishes.pages !== undefined && (pages < one || pages > fitting)) {
    throw new EngineError(
      "unavailable",
      `Cannot serve the model from ${pages} pages of ${each} bytes: ${context} tokens take ${one}, and beside ${
        megabytes(weightBytes)
      } of weights and ${megabytes(workspaceBytes)} for a step ${fitting} fit into ${
        megabytes(memoryBytes)
      }, expected a number between; set --pages, --context or --memory`,
    );
  }
  if (pages < one) {
    const lowest = tokensIn(pages - 1, sinks);
    throw new EngineError(
      "unavailable",
      `Cannot serve the model in ${megabytes(memoryBytes)}: its weights take ${
        megabytes(weightBytes)
      }, a step ${megabytes(workspaceBytes)}, and ${context} tokens ${
        megabytes(memory.pageBytes(one))
      }, expected all of it to fit; ${
        lowest > 0 ? `set --context to ${lowest} or less, or ` : ""
      }give it more with --memory`,
    );
  }
  return {
    weightBytes,
    workspaceBytes,
    pageBytes: each,
    kvBytes: memory.pageBytes(pages),
    notes: [
      ...contextNotes(config, { context, attended, asked: wishes.context }),
      ...tokens < asked
        ? [
          `steps take ${tokens} tokens, of which this device's bindings of ${
            millions(limits.bindingBytes, 0)
          } MB hold what a layer makes`,
        ]
        : [],
    ],
    sinks,
    sizes: {
      pages,
      context,
      step: { ...step, tokens },
      queue: {
        requests: wishes.queueRequests ?? 256,
        tokens: wishes.queueTokens ?? 64 * context,
      },
    },
  };
}

/** Counts steps of as many tokens as asked, or of half, a fourth and so on where a tensor would be too large. */
async function countLargest(
  memory: EngineMemory,
  { context, step, least }: StepWishes & { readonly least: number },
): Promise<{
  readonly tokens: number;
  readonly weightBytes: number;
  readonly workspaceBytes: number;
}> {
  for (let tokens = step.tokens;; tokens = Math.max(least, Math.floor(tokens / 2))) {
    try {
      return { tokens, ...await memory.count({ context, step: { ...step, tokens } }) };
    } catch (error) {
      const reason = error instanceof SuppressedError ? error.suppressed : error;
      if (!(reason instanceof TensorTooLarge)) throw error;
      if (tokens > least) continue;
      throw new EngineError(
        "unavailable",
        `Cannot serve the model in steps of ${tokens} tokens: ${reason.message}; set --step-tokens or --sequences lower`,
      );
    }
  }
}

/** How the context changes what a user or a model says. */
function contextNotes(
  { positions, ropes }: DecoderConfig,
  { context, attended, asked = positions }: {
    readonly context: number;
    /** The longest sequence that the device can attend to. */
    readonly attended: number;
    readonly asked: number | undefined;
  },
): string[] {
  const long = ropes.flatMap(({ scaling }) =>
    scaling.type === "longrope" && context > scaling.originalPositions
      ? [`all requests turn as sequences above ${scaling.originalPositions} tokens (LongRoPE)`]
      : []
  );
  if (asked > attended && positions > attended) {
    return [`contexts end at ${attended} tokens, the most that this driver attends to`, ...long];
  }
  if (asked <= positions) return long;
  return [
    `contexts end at ${positions} tokens, which the model was made for, not ${asked}`,
    ...long,
  ];
}

/** All that a plan takes. */
export function plannedBytes({ weightBytes, workspaceBytes, kvBytes }: MemoryPlan): number {
  return weightBytes + workspaceBytes + kvBytes;
}

/** The plan in a sentence. */
export function memoryWords(
  { weightBytes, workspaceBytes, kvBytes, sinks, sizes, notes }: MemoryPlan,
): string {
  const whole = Math.floor(sizes.pages / pagesFor(sizes.context, sinks));
  return `${millions(weightBytes, 0)} MB of weights, ${
    millions(workspaceBytes, 0)
  } MB for a step, ${millions(kvBytes, 0)} MB of KV pages (${
    sizes.pages * PAGE_TOKENS
  } tokens, ${whole} sequences of ${sizes.context})${notes.map((note) => `; ${note}`).join("")}`;
}
