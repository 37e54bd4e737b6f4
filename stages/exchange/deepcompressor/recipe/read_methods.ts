import { lastPart, type RecipeSection } from "./recipe_tree.ts";

/** What is quantized how: the weights of linears, their inputs, or queries, keys and values. */
export type QuantizerBlock = ReturnType<typeof readBlock>;

/** One kind of smoothing. */
export type RecipeSmoothing = ReturnType<typeof readSmoothing>;

/** A search over ranges, smoothing scales or orders, as recipes say it. */
export type Search = ReturnType<typeof readSearch>;

/** Reads what is quantized how. */
export function readBlock(section: RecipeSection) {
  const range = readRange(section.section("calib_range"));
  const kernel = section.section("kernel_gptq");
  kernel.known("hessian_block_size");
  const gptq = {
    damping: kernel.number("damp_percentage", 0.01),
    block: kernel.number("block_size", 128),
    tries: kernel.number("num_inv_tries", 200),
  };
  const groups = section.rows("group_shapes");
  const scales = section.texts("scale_dtypes");
  return {
    section,
    /** Undefined where the block is off. */
    dtype: section.optionalText("dtype")?.toLowerCase(),
    zeroPoint: section.optionalText("zero_point"),
    /** A level each, the largest groups first: rows, then channels; -1 is all. */
    groups: groups.length > 0 ? groups : [[1, -1]],
    /** A level each; undefined is the model's own type. */
    scales: scales.length > 0 ? scales : [undefined],
    intermediate: section.texts("intermediate_dtypes"),
    intermediateLevels: section.texts("intermediate_levels"),
    saturation: section.flag("needs_dequant_saturation", false),
    static: section.flag("static", false),
    gptq: section.flag("enable_kernel_gptq", false) ? gptq : undefined,
    range: section.flag("enable_calib_range", false) ? range : undefined,
    skips: section.texts("skips").map(String),
  };
}

/** Reads one kind of smoothing, on or off. */
export function readSmoothing(
  section: RecipeSection,
  fallback: { readonly alpha: number; readonly beta: number },
) {
  section.known("fuse_when_possible", "allow_low_rank");
  return {
    ...readSearch(section),
    spans: section.rows("spans"),
    alpha: section.number("alpha", fallback.alpha),
    beta: section.number("beta", fallback.beta),
    grids: section.number("num_grids", 20),
    quantizeAlphaSide: section.flag("allow_a_quant", true),
    quantizeBetaSide: section.flag("allow_b_quant", true),
    skips: section.texts("skips").map(String),
  };
}

/** Reads the rotation; undefined where it is off. */
export function readRotation(quant: RecipeSection) {
  const section = quant.section("rotation");
  section.known("name");
  const rotation = {
    section,
    random: section.flag("random", false),
    path: section.text("path", ""),
    transforms: section.texts("transforms").map(String),
  };
  return quant.flag("enable_rotation", false) ? rotation : undefined;
}

/** Reads the reordering, after the rules that add to what it skips; undefined where it is off. */
export function readReorder(
  quant: RecipeSection,
  rotation: ReturnType<typeof readRotation>,
) {
  const section = quant.section("reorder");
  const dynamic = section.flag("dynamic", false);
  const written = section.texts("skips").map(String);
  const skips = [...written, ...rotation ? ["residual", ...rotation.transforms] : []]
    .map((skip) => !dynamic && /(^|_)qkv_proj|(^|_)up_proj/.test(skip) ? "residual" : skip);
  const reorder = {
    ...readSearch(section),
    metric: lastPart(section.text("channel_metric", "InputsAbsMax")),
    index: lastPart(section.text("channel_index", "Sequential")),
    dynamic,
    quantizeInputs: section.flag("allow_x_quant", true),
    quantizeWeights: section.flag("allow_w_quant", true),
    /** After the rules by which rotation and fixed orders add to it. */
    skips,
  };
  return quant.flag("enable_reorder", false) ? reorder : undefined;
}

function readRange(section: RecipeSection) {
  return {
    ...readSearch(section),
    ratio: section.number("ratio", 1),
    maxShrink: section.number("max_shrink", 0.2),
    maxExpand: section.number("max_expand", 1),
    grids: section.number("num_grids", 80),
    allowScale: section.flag("allow_scale", false),
    skips: section.texts("skips").map(String),
  };
}

function readSearch(section: RecipeSection, granularity = "Layer") {
  section.known(
    "element_batch_size",
    "element_size",
    "sample_batch_size",
    "sample_size",
    "pre_reshape",
    "outputs_device",
  );
  // Anything but Manual is a search.
  const manual = lastPart(section.text("strategy", "Manual")) === "Manual";
  return {
    /** Where it was written. */
    section,
    strategy: manual ? "manual" as const : "grid" as const,
    objective: lastPart(section.text("objective", "OutputsError")),
    granularity: lastPart(section.text("granularity", granularity)),
    degree: section.number("degree", 2),
  };
}
