import { readBlock, readReorder, readRotation, readSmoothing } from "./read_methods.ts";
import { lastPart, type RecipeSection } from "./recipe_tree.ts";

/** A DeepCompressor recipe with its files merged, after its own rules for what is on and off. */
export type DeepCompressorRecipe = ReturnType<typeof readRecipe>;

/**
 * Reads a recipe.
 *
 * Keys that are missing take the defaults of DeepCompressor's classes, not those of its
 * `__default__.yaml`, which lies among the merged files where it is used.
 */
export function readRecipe(root: RecipeSection) {
  const quant = root.section("quant");
  const rotation = readRotation(quant);
  const smooth = quant.section("smooth");
  const smoothing = quant.flag("enable_smooth", false);
  const projections = readSmoothing(smooth.section("proj"), { alpha: 0.5, beta: -1 });
  const attention = readSmoothing(smooth.section("attn"), { alpha: 0.5, beta: -1 });
  const useProjections = smooth.flag("enable_proj", false) && smoothing;
  const useAttention = smooth.flag("enable_attn", false) && smoothing;
  root.known("load_from", "save_model", "copy_on_save", "cache", "output");
  return {
    root,
    seed: root.number("seed", 12345),
    model: readModel(root),
    evaluation: readEvaluation(root),
    calibration: readCalibration(quant.section("calib")),
    developDtype: quant.text("develop_dtype", "torch.float32"),
    weights: readBlock(quant.section("wgts")),
    inputs: readBlock(quant.section("ipts")),
    outputs: readBlock(quant.section("opts")),
    rotation,
    reorder: readReorder(quant, rotation),
    projections: useProjections ? projections : undefined,
    attention: useAttention ? attention : undefined,
  };
}

function readModel(root: RecipeSection) {
  const model = root.section("model");
  model.known("family", "root", "use_flash_attn", "fast_tokenizer", "local_root");
  const [path, localPath] = [model.text("path", ""), model.text("local_path", "")];
  const name = model.text("name", "llama-2-7b");
  return { name, path: path || localPath, dtype: lastPart(model.text("dtype", "float16")) };
}

function readEvaluation(root: RecipeSection) {
  const section = root.section("eval");
  section.known(
    "num_gpus",
    "batch_size",
    "fewshot_as_multiturn",
    "apply_chat_template",
  );
  const given = (key: string) => section.texts(key).map((text) => String(text));
  return {
    section,
    off: root.flag("skip_eval", false),
    tasks: given("tasks"),
    evaluators: given("evaluators"),
    shots: section.text("num_shot", "") === "" ? undefined : section.number("num_shot", 0),
    length: section.number("max_seq_length", -4096),
  };
}

function readCalibration(section: RecipeSection) {
  section.known("path");
  return {
    section,
    data: section.text("data", "pileval"),
    localPath: section.text("local_path", ""),
    samples: section.number("num_samples", 128),
    length: section.number("seq_length", 1024),
    shortest: section.number("min_seq_length", 0),
    longest: section.number("max_seq_length", 0),
  };
}
