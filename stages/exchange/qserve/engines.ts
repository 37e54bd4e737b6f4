import { type EngineUse, said } from "../format.ts";
import { KERNEL_GROUP } from "./form.ts";
import { qserveKv } from "./kv.ts";
import { modelForm } from "./refusals.ts";
import type { Subject } from "../subject.ts";

/** Tokens of a page of the engine's KV cache. */
const PAGE = 64;
/** What the command reserves pages for. */
const SEQUENCES = 64;
const TOKENS = 2048;
/** Longest context the engine serves. */
const LONGEST = 65_536;
/** Tokens that the engine takes at once unless told; no fewer than the model's longest context. */
const BATCHED = 262_144;
/** The head size that its attention kernels are built for. */
const HEAD = 128;
/** Outputs and inputs that the tiles of all its kernels divide. */
const WIDTH = 128;

/** What per-channel zero points do in both engines. */
const INPUT_SUMS =
  "it takes zero points times the sum of inputs before rounding, so that outputs differ a little";

/** The engines that read an export. */
export function qserveEngines(subject: Subject): EngineUse[] {
  const sglang = modelForm(subject) === "bytes" ? [] : [sglangEngine(subject)];
  return [omniserveEngine(subject), ...sglang];
}

/** How SGLang is started: precision and groups are those that `quantization_config` says. */
function sglangEngine(subject: Subject): EngineUse {
  const limits = [
    "releases around 0.5.4 have its kernels (quantization qoq), 0.5.23 has none",
    subject.record.kv.length > 0 &&
    "it keeps keys and values in full precision, this model was measured with codes",
    modelForm(subject) === "channel" && INPUT_SUMS,
  ];
  return {
    engine: "sglang",
    command: "python -m sglang.launch_server --model-path DIR --dtype float16",
    limits: said(limits),
  };
}

/**
 * How OmniServe (QServe's engine) is started on an export, and what it runs otherwise.
 *
 * Bits, group size and the granularity of KV scales are not read from files: they are flags.
 */
function omniserveEngine(subject: Subject): EngineUse {
  const { config, record } = subject;
  const form = modelForm(subject);
  const kv = qserveKv(subject);
  const { layers, kvHeads, headSize, positions } = config;
  const pages = SEQUENCES * (Math.ceil(Math.min(TOKENS, positions) / PAGE) + 1);
  // Keys and values of a page: codes, and four bytes of scale and zero a token and head in any case.
  const pageBytes = 2 * layers * PAGE * kvHeads * (headSize * kv.bits / 8 + 4);
  const widths = oddWidths(config);
  const [first] = record.kv;
  const flags = [
    "--model DIR --quant-path DIR --ifb-mode",
    `--precision ${form === "bytes" ? "w8a8" : "w4a8"}kv${kv.bits}`,
    `--group-size ${form === "groups" ? KERNEL_GROUP : -1}`,
    `--kv-quant-granularity ${kv.granularity}`,
    `--max-num-seqs ${SEQUENCES} --sparse-decode-mode 0`,
    ...positions > BATCHED ? [`--max-num-batched-tokens ${positions}`] : [],
  ];
  const limits = [
    headSize !== HEAD &&
    `its attention kernels are built for heads of ${HEAD}, this model has heads of ${headSize}`,
    widths.length > 0 &&
    `its kernels take multiples of ${WIDTH}, this model has ${widths.join(", ")}`,
    positions > LONGEST && `it serves ${LONGEST} tokens, this model ${positions}`,
    !first && "it keeps keys and values in 8 bits, this model was measured without that",
    first && kv.granularity === "fine_grained" && first.key.zero !== "post_scale" &&
    "its zero points of keys and values are not rounded, this model's are",
    form === "channel" && INPUT_SUMS,
    `${pages} pages serve ${SEQUENCES} sequences of ${
      Math.min(TOKENS, positions)
    } tokens and take ${(pages * pageBytes / 1e9).toPrecision(3)} GB`,
  ];
  return {
    engine: "qserve",
    command:
      `NUM_RETRIEVAL_GPU_PAGE_BLOCKS=${pages} NUM_STREAMING_GPU_PAGE_BLOCKS=0 python qserve_e2e_generation.py ${
        flags.join(" ")
      }`,
    limits: said(limits),
  };
}

/** Outputs and inputs of the linears as the engine fuses them, those that its tiles do not divide. */
function oddWidths({ hidden, inner, heads, kvHeads, headSize }: Subject["config"]): string[] {
  const widths = {
    "hidden size": hidden,
    "inner size": inner,
    "queries, keys and values": (heads + 2 * kvHeads) * headSize,
  };
  return Object.entries(widths)
    .filter(([, width]) => width % WIDTH !== 0)
    .map(([what, width]) => `${what} ${width}`);
}
